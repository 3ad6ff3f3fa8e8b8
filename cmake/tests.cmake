# How ctest runs what GoogleTest wrote.
set(ANDIRON_TEST_SHARDS 0 CACHE STRING
    "Processes for all tests of a program, so that what starting costs is paid that often; 0: one for each test")

# A line with which a test says that it is to be skipped, as message() and message(STATUS) of a script write it too; not
# any line with these words in it.
set(ANDIRON_SKIPPED "(^|\n)(-- )?skipped: ")

# andiron_add_tests(TARGET LABEL label [TIMEOUT seconds]): 600 for each test, where nothing else is said.
function(andiron_add_tests target)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  if(NOT ANDIRON_TEST_SHARDS)
    gtest_discover_tests(${target} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS ${ARG_LABEL})
    return()
  endif()
  if(ANDIRON_SANITIZE MATCHES "undefined")
    # In a test, where every EXPECT has a dozen pointers, these are much of what is compiled; a crash or the address
    # sanitizer tells most of what they would. No more than these: a program has one copy of an inline function of our
    # headers, and where that is the test's, what is left out here is left out of what is tested.
    target_compile_options(${target} PRIVATE -fno-sanitize=null,object-size,vptr)
  endif()
  math(EXPR last "${ANDIRON_TEST_SHARDS} - 1")
  # A shard is many tests, most of them short.
  math(EXPR seconds "2 * ${ARG_TIMEOUT}")
  foreach(shard RANGE ${last})
    set(name ${target}.${shard})
    add_test(NAME ${name} COMMAND ${target})
    # tools/setup.sh counts the tests of a program in the report that it leaves here.
    set(environment GTEST_TOTAL_SHARDS=${ANDIRON_TEST_SHARDS} GTEST_SHARD_INDEX=${shard}
        GTEST_OUTPUT=xml:${PROJECT_BINARY_DIR}/gtest/${name}.xml)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}" LABELS ${ARG_LABEL} TIMEOUT ${seconds})
  endforeach()
endfunction()
