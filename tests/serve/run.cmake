# Runs TEST of those in WORK.
cmake_minimum_required(VERSION 3.25)

find_program(node node)
if(NOT node OR NOT EXISTS ${WORK}/installed)
  message("skipped: the clients are not installed")
  return()
endif()
execute_process(COMMAND ${node} ${TEST}.test.mjs WORKING_DIRECTORY ${WORK} RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${TEST}: ${status}")
endif()
