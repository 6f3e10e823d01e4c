# Test programs and planted bugs. docs/testing.md tells which labels there are and what runs them.

# weir_test_program(NAME LABEL unit SOURCES … [LINK …] [TIMEOUT seconds] [PRECOMPILED] [SERIAL] [ARGS …])
# A doctest program and its test of the same name. Its objects are kept apart, so that the same tests
# can be linked once more against a planted bug.
function(weir_test_program name)
  cmake_parse_arguments(arg "PRECOMPILED;SERIAL" "LABEL;TIMEOUT" "SOURCES;LINK;ARGS" ${ARGN})
  add_library(${name}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(${name}_objects PUBLIC weir_test_support ${arg_LINK})
  if(arg_PRECOMPILED)
    weir_use_precompiled_header(${name}_objects)
  endif()
  add_executable(${name} $<TARGET_OBJECTS:${name}_objects>)
  target_link_libraries(${name} PRIVATE weir_test_main weir_test_support ${arg_LINK})
  set_target_properties(${name} PROPERTIES weir_link "${arg_LINK}")

  string(REGEX REPLACE "^weir_" "" test ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_test(NAME ${test} COMMAND ${name} ${arg_ARGS})
  set_tests_properties(${test} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS ${arg_LABEL})
  if(arg_SERIAL)
    set_tests_properties(${test} PROPERTIES RUN_SERIAL ON)
  endif()
  # One target per label, so that a stage builds what it runs and nothing else.
  if(NOT TARGET weir_${arg_LABEL}_tests)
    add_custom_target(weir_${arg_LABEL}_tests)
  endif()
  add_dependencies(weir_${arg_LABEL}_tests ${name})
endfunction()

# weir_planted_bug(ack_before_fsync PROGRAM weir_unit_store SOURCES store/writer.cpp [ARGS …])
# Links the tests of PROGRAM once more, with SOURCES (from the root) compiled under
# -DWEIR_PLANTED_BUG_ACK_BEFORE_FSYNC=1. The new objects come before the libraries, so the linker never
# takes the sound ones. The test passes if and only if a test case fails: a bug that nobody finds is red.
function(weir_planted_bug bug)
  cmake_parse_arguments(arg "" "PROGRAM" "SOURCES;ARGS" ${ARGN})
  string(TOUPPER "WEIR_PLANTED_BUG_${bug}" macro)
  set(sources)
  foreach(source IN LISTS arg_SOURCES)
    file(STRINGS ${CMAKE_SOURCE_DIR}/${source} uses REGEX "${macro}([^A-Z_]|$)")
    if(NOT uses)
      message(FATAL_ERROR "planted bug ${bug}: ${source} does not mention ${macro}")
    endif()
    list(APPEND sources ${CMAKE_SOURCE_DIR}/${source})
  endforeach()
  set(name weir_planted_${bug})
  get_target_property(link ${arg_PROGRAM} weir_link)
  add_executable(${name} EXCLUDE_FROM_ALL ${sources} $<TARGET_OBJECTS:${arg_PROGRAM}_objects>)
  target_compile_definitions(${name} PRIVATE ${macro}=1)
  target_link_libraries(${name} PRIVATE weir_test_main weir_test_support ${link})
  add_test(NAME planted_${bug}
           COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${name}> "-DARGS=${arg_ARGS}" -DBUG=${bug}
                   -P ${CMAKE_SOURCE_DIR}/cmake/ExpectTestFailure.cmake)
  set_tests_properties(planted_${bug} PROPERTIES TIMEOUT 300 LABELS planted)
  if(NOT TARGET weir_planted_tests)
    add_custom_target(weir_planted_tests)
  endif()
  add_dependencies(weir_planted_tests ${name})
endfunction()
