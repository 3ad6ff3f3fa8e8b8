# cmake -DNPM=npm -DSOURCE=tests/web -DWORK=folder -DNODE_FOLDER=folder -DPAGE=folder -DROUTES=page_routes.cpp
#       -DTESTS=*.test.mjs -P web_test.cmake
# A browser uses the page that was built: TESTS of tests/web, in Debian's Chromium, with pictures in WORK/screenshots.
# "skipped: ..." where something is missing that the program itself does not need; in CI that is a failure.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/node.cmake)

if(NOT EXISTS ${PAGE}/index.html)
  say_missing("the program was built without its page")
  return()
endif()
find_program(CHROMIUM NAMES chromium chromium-browser google-chrome)
if(NOT CHROMIUM)
  say_missing("no Chromium here (Debian: apt-get install chromium)")
  return()
endif()
find_node(node why ${NODE_FOLDER})
if(NOT node)
  say_missing("${why}")
  return()
endif()

file(SHA256 ${SOURCE}/package-lock.json hash)
set(stamp ${WORK}/node_modules/.andiron-${hash})
file(MAKE_DIRECTORY ${WORK})
file(COPY ${SOURCE}/ DESTINATION ${WORK} PATTERN node_modules EXCLUDE)
if(NOT EXISTS ${stamp})
  execute_process(COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund WORKING_DIRECTORY ${WORK}
                  RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    say_missing("npm could not fetch what drives the browser (${code}):\n${output}")
    return()
  endif()
  file(TOUCH ${stamp})
endif()

set(ENV{ANDIRON_CHROMIUM} ${CHROMIUM})
set(ENV{ANDIRON_PAGE} ${PAGE})
set(ENV{ANDIRON_PAGE_ROUTES} ${ROUTES})
set(ENV{ANDIRON_SCREENSHOTS} ${WORK}/screenshots)
file(GLOB tests RELATIVE ${WORK} ${WORK}/${TESTS})
# One file at a time: each has a browser of its own.
execute_process(COMMAND ${node} --test --test-concurrency=1 ${tests} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "the page does not what it should")
endif()
