#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace weir {

/// The seed of a test that draws: `WEIR_SEED`, else a fixed one. Prints it, so that a failure can be repeated.
inline std::uint64_t test_seed(const char* what, std::uint64_t otherwise = 1) {
  const auto* given = std::getenv("WEIR_SEED");
  const auto seed = given != nullptr && *given != '\0' ? std::strtoull(given, nullptr, 10) : otherwise;
  std::printf("%s: WEIR_SEED=%llu\n", what, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return seed;
}

} // namespace weir
