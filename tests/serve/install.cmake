# Puts the clients of package-lock.json, and the tests beside them, into WORK. The tests run there because imports look
# for packages beside the file that imports.
cmake_minimum_required(VERSION 3.25)

find_program(node node)
find_program(npm npm)
if(NOT node OR NOT npm)
  message("skipped: Node.js and npm are not installed")
  return()
endif()

file(GLOB files ${SOURCE}/*.mjs ${SOURCE}/*.json ${SOURCE}/.npmrc)
file(MAKE_DIRECTORY ${WORK})
file(COPY ${files} DESTINATION ${WORK})
file(SHA256 ${SOURCE}/package-lock.json wanted)
set(have)
if(EXISTS ${WORK}/installed)
  file(READ ${WORK}/installed have)
endif()
if(have STREQUAL wanted)
  return()
endif()

file(REMOVE ${WORK}/installed)
execute_process(COMMAND ${npm} ci --ignore-scripts WORKING_DIRECTORY ${WORK} TIMEOUT 500 RESULT_VARIABLE status
                OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(status EQUAL 0)
  file(WRITE ${WORK}/installed ${wanted})
elseif(DEFINED ENV{CI})
  message(FATAL_ERROR "npm ci failed (${status}):\n${said}")
else()
  message("skipped: npm could not fetch the clients (${status}):\n${said}")
endif()
