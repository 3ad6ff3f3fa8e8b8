# Installs the build into an empty folder and builds examples/hello against it, as a stranger would.
# -DBUILD=... -DEXAMPLE=... -DWORK=... -DCOMPILER=... -DFLAGS=...
file(REMOVE_RECURSE ${WORK})
foreach(command "--install;${BUILD};--prefix;${WORK}/prefix"
                "-S;${EXAMPLE};-B;${WORK}/build;-DCMAKE_PREFIX_PATH=${WORK}/prefix;-DCMAKE_CXX_COMPILER=${COMPILER};-DCMAKE_CXX_FLAGS=${FLAGS}"
                "--build;${WORK}/build")
  execute_process(COMMAND ${CMAKE_COMMAND} ${command} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(result)
    message(FATAL_ERROR "cmake ${command}:\n${output}")
  endif()
endforeach()

# The headers that users include may include only each other and the standard library.
file(GLOB headers ${WORK}/prefix/include/andiron/*.h)
foreach(header ${headers})
  file(STRINGS ${header} includes REGEX "^#include")
  foreach(include ${includes})
    if(NOT include MATCHES "^#include (\"andiron/[a-z_]+\\.h\"|<[a-z_]+>)$")
      message(FATAL_ERROR "${header}: ${include}")
    endif()
  endforeach()
endforeach()
