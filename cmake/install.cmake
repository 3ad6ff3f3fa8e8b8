# What `cmake --install` puts down: the program; the public library as one archive of every layer, with its headers and
# a CMake package, so that find_package(andiron) gives the target andiron::andiron.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(objects)
foreach(layer base tensor kernels ops format text grammar sample adapter model engine api)
  list(APPEND objects $<TARGET_OBJECTS:andiron_${layer}>)
endforeach()
foreach(isa scalar avx2 avx512 amx)
  if(TARGET andiron_kernels_${isa})
    list(APPEND objects $<TARGET_OBJECTS:andiron_kernels_${isa}>)
  endif()
endforeach()
add_library(andiron_library STATIC ${objects})
add_library(andiron::andiron ALIAS andiron_library)
set_target_properties(andiron_library PROPERTIES OUTPUT_NAME andiron EXPORT_NAME andiron LINKER_LANGUAGE CXX)
target_include_directories(andiron_library PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(andiron_library PUBLIC cxx_std_20)
target_link_libraries(andiron_library PRIVATE fmt::fmt Threads::Threads)

install(TARGETS andiron RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# The model that it brings, with its card: cli/shipped_model.cpp looks for it there.
install(FILES ${PROJECT_SOURCE_DIR}/models/ember.gguf ${PROJECT_SOURCE_DIR}/models/ember.general.jsonl
              ${PROJECT_SOURCE_DIR}/models/ember.md
        DESTINATION ${CMAKE_INSTALL_DATADIR}/andiron OPTIONAL)
install(FILES ${PROJECT_SOURCE_DIR}/doc/andiron.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
set(completions ${PROJECT_SOURCE_DIR}/completions)
install(FILES ${completions}/andiron.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME andiron)
install(FILES ${completions}/_andiron DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${completions}/andiron.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(TARGETS andiron_library EXPORT andironTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/andiron DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/andiron)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/andironConfig.cmake.in andironConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(andironConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT andironTargets NAMESPACE andiron:: DESTINATION ${package})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/andironConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/andironConfigVersion.cmake
        DESTINATION ${package})
