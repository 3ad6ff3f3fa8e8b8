# Puts the clients of package-lock.json, and the tests beside them, into WORK. The tests run there because imports look
# for packages beside the file that imports.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../node.cmake)

find_node(node why ${NODE_FOLDER})
if(NOT node)
  say_missing("${why}")
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
execute_process(COMMAND ${NPM} ci --ignore-scripts WORKING_DIRECTORY ${WORK} TIMEOUT 500 RESULT_VARIABLE status
                OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(status EQUAL 0)
  file(WRITE ${WORK}/installed ${wanted})
else()
  say_missing("npm could not fetch the clients (${status}):\n${said}")
endif()
