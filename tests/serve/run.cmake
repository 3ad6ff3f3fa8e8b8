# Runs TEST of those in WORK.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../node.cmake)

find_node(node why ${NODE_FOLDER})
if(NOT node OR NOT EXISTS ${WORK}/installed)
  say_missing("the clients are not installed")
  return()
endif()
execute_process(COMMAND ${node} ${TEST}.test.mjs WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${TEST}: ${status}")
endif()
