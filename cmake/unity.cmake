# Many files compiled as one, in the presets with sanitizers: what a small file costs is mostly what it includes. The
# release preset compiles each file by itself, so what a file forgot to include is found there. What is lost is Clang's
# warning of constants that nobody uses: it looks for them in the file that it is given, not in what that includes, and
# GCC does not look for them in C++.
option(ANDIRON_UNITY "Compile files together where their names allow it" OFF)

if(ANDIRON_UNITY)
  find_program(PYTHON3 python3 REQUIRED)
  set(ANDIRON_UNITY_SCRIPT ${PROJECT_SOURCE_DIR}/tools/unity_groups.py)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ANDIRON_UNITY_SCRIPT})
  # Names of a neighbour's anonymous namespace may be shadowed, and GCC takes it for a header's.
  add_compile_options(-Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

# andiron_unity(TARGET): groups the .cpp files that TARGET has by now. A name that was added since may clash within its
# group, which the compiler says; setting the build up again groups anew.
function(andiron_unity target)
  if(NOT ANDIRON_UNITY)
    return()
  endif()
  get_target_property(listed ${target} SOURCES)
  set(sources)
  foreach(source ${listed})
    if(source MATCHES "\\.cpp$")
      get_filename_component(source ${source} ABSOLUTE)
      list(APPEND sources ${source})
    endif()
  endforeach()
  execute_process(COMMAND ${PYTHON3} ${ANDIRON_UNITY_SCRIPT} ${PROJECT_SOURCE_DIR} ${sources}
                  OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
  string(STRIP "${lines}" lines)
  string(REPLACE "\n" ";" lines "${lines}")
  # The list is now file, group, file, group...
  while(lines)
    list(POP_FRONT lines source group)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
  endwhile()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP
                        UNITY_BUILD_CODE_BEFORE_INCLUDE "// NOLINTNEXTLINE(bugprone-suspicious-include)")
endfunction()
