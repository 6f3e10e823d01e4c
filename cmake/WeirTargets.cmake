# What every target of Weir shares: warnings, sanitizers, the include root and the precompiled header.
find_program(CCACHE ccache)
if(CCACHE)
  # With these the precompiled header does not defeat the cache, and two checkouts share it.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  add_compile_options(-fpch-preprocess)
endif()

add_library(weir_options INTERFACE)
target_include_directories(weir_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(weir_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow=local -Wnon-virtual-dtor)
target_link_options(weir_options INTERFACE -Wl,--as-needed -Wl,-z,relro,-z,now)
if(WEIR_SANITIZE)
  target_compile_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(weir_options INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
if(WEIR_PLANTED_BUG)
  string(TOUPPER ${WEIR_PLANTED_BUG} bug)
  target_compile_definitions(weir_options INTERFACE WEIR_PLANTED_BUG_${bug}=1)
  message(WARNING "this build contains the planted bug '${WEIR_PLANTED_BUG}'")
endif()

include(WeirPrecompiledHeader)

# One library per folder: weir_library(store LINK weir_messages …). PRECOMPILED is for folders of actors.
function(weir_library name)
  cmake_parse_arguments(arg "PRECOMPILED" "" "LINK;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern IN LISTS arg_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(weir_${name} STATIC ${sources})
  target_link_libraries(weir_${name} PUBLIC weir_options ${arg_LINK})
  if(arg_PRECOMPILED)
    weir_use_precompiled_header(weir_${name})
  endif()
endfunction()
