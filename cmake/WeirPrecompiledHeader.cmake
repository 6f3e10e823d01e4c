# One precompiled header for the targets that are made of actors: the standard library, fmt, Protobuf and
# the part of CAF that each role needs. Measured with GCC 12: loading it costs 0.3 s and ccache's hash of it
# 0.15 s, parsing those headers 1.6 s; so it pays wherever CAF's actors are included and nowhere else.
# A source still includes what it uses; `-DWEIR_PRECOMPILED_HEADER=OFF` proves it.
option(WEIR_PRECOMPILED_HEADER "Compile the common headers once per preset" ON)

if(WEIR_PRECOMPILED_HEADER)
  file(WRITE ${CMAKE_BINARY_DIR}/precompiled/weir_precompiled.cpp.new "// Owns the precompiled header.\n")
  file(COPY_FILE ${CMAKE_BINARY_DIR}/precompiled/weir_precompiled.cpp.new
       ${CMAKE_BINARY_DIR}/precompiled/weir_precompiled.cpp ONLY_IF_DIFFERENT)
  add_library(weir_precompiled OBJECT ${CMAKE_BINARY_DIR}/precompiled/weir_precompiled.cpp)
  # The definitions of these must be the same wherever the header is used, else GCC will not take it.
  target_link_libraries(weir_precompiled PRIVATE weir_options caf_core::caf_core fmt::fmt protobuf::libprotobuf)
  target_precompile_headers(weir_precompiled PRIVATE
    <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <deque> <fstream>
    <functional> <map> <memory> <mutex> <optional> <set> <sstream> <string> <string_view> <thread>
    <tuple> <unordered_map> <unordered_set> <utility> <variant> <vector>
    <fmt/format.h>
    <google/protobuf/message.h>
    <caf/actor_system.hpp> <caf/actor_system_config.hpp> <caf/event_based_actor.hpp> <caf/expected.hpp>
    <caf/scoped_actor.hpp> <caf/stateful_actor.hpp> <caf/typed_actor.hpp>
    <caf/typed_event_based_actor.hpp> <caf/typed_response_promise.hpp>)
endif()

# Lets a target use the common precompiled header.
function(weir_use_precompiled_header target)
  if(WEIR_PRECOMPILED_HEADER)
    target_precompile_headers(${target} REUSE_FROM weir_precompiled)
  endif()
endfunction()
