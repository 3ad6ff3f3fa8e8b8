# Runs examples/hello as install_test.cmake built it, and compares its story with the one that llama2.c and llama.cpp
# tell. -DHELLO=... -DMODEL_FOLDER=...
if(NOT EXISTS ${MODEL_FOLDER})
  message(STATUS "skipped: ${MODEL_FOLDER} is not there")
  return()
endif()
execute_process(COMMAND ${HELLO} ${MODEL_FOLDER}/stories260K.f32.gguf "" RESULT_VARIABLE result OUTPUT_VARIABLE story
                ERROR_VARIABLE complaint)
file(READ ${MODEL_FOLDER}/expected_greedy_200.txt expected)
string(STRIP "${story}" story)
string(STRIP "${expected}" expected)
if(result OR NOT story STREQUAL expected)
  message(FATAL_ERROR "hello (status ${result}) told\n${story}\n${complaint}\nbut expected was\n${expected}")
endif()
