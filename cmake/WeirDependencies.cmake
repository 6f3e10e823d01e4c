# Everything comes from Debian 12; scripts/dev installs it. Several of these packages ship no CMake
# package file (CAF 0.17.6, ISA-L), so they are found by library and header.
find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(fmt REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(CURL REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(simdjson REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)

function(weir_find_library name header)
  string(TOUPPER ${name} upper)
  find_library(${upper}_LIBRARY ${name} REQUIRED)
  find_path(${upper}_INCLUDE_DIR ${header} REQUIRED)
  add_library(${name}::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${name}::${name} PROPERTIES
    IMPORTED_LOCATION ${${upper}_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${${upper}_INCLUDE_DIR})
endfunction()

weir_find_library(caf_core caf/actor.hpp)
weir_find_library(caf_io caf/io/middleman.hpp)
weir_find_library(isal isa-l.h)
weir_find_library(jemalloc jemalloc/jemalloc.h)
target_link_libraries(caf_core::caf_core INTERFACE Threads::Threads)
