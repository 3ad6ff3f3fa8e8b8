# One target per folder of src/, linked only to the row that ARCHITECTURE.md gives it.

# What the fuzz targets link, and where they see which branches an input took. That costs time wherever it is compiled in,
# and loops of products and sums have nothing to tell a fuzzer.
set(ANDIRON_FUZZED_LAYERS base tensor format text data grammar sample adapter engine store http serve)

# andiron_layer(NAME [DEPENDS layer...] [LIBRARIES target...] [EXCLUDE regex])
# Makes the library andiron_NAME from NAME/*.cpp, and NAME_test from NAME/*_test.cpp.
function(andiron_layer name)
  cmake_parse_arguments(ARG "" "EXCLUDE" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ARG_EXCLUDE}")
  endif()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(TRANSFORM ARG_DEPENDS PREPEND andiron_)

  if(NOT sources)
    add_library(andiron_${name} INTERFACE)
    return()
  endif()
  add_library(andiron_${name} STATIC ${sources})
  target_include_directories(andiron_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                                                    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(andiron_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES})
  andiron_unity(andiron_${name})
  if(ANDIRON_FUZZ AND name IN_LIST ANDIRON_FUZZED_LAYERS)
    target_compile_options(andiron_${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()

  if(ANDIRON_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE andiron_${name} GTest::gtest GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE ANDIRON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    # Half of what a build takes is tests, which run for seconds: a fifth of that is saved.
    target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
    andiron_unity(${name}_test)
    andiron_add_tests(${name}_test LABEL ${name})
  endif()
endfunction()
