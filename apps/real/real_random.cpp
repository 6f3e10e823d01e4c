#include <atomic>
#include <cerrno>
#include <system_error>

#include <sys/random.h>

#include "apps/real/real_environment.hpp"

namespace weir {
namespace {

std::uint64_t seed_from_kernel() {
  std::uint64_t seed = 0;
  // 8 bytes come whole or not at all (getrandom(2): requests up to 256 bytes are not cut short).
  while (::getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed))
    if (errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "getrandom");
  return seed;
}

/// SplitMix64 (Steele, Lea, Flood 2014): the state is a counter, so threads share it with one
/// fetch_add and no lock, and no two calls ever return the same point of the sequence.
class real_random final : public random_source {
 public:
  std::uint64_t next() override {
    auto z = state_.fetch_add(step, std::memory_order_relaxed) + step;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

 private:
  static constexpr std::uint64_t step = 0x9E3779B97F4A7C15ull;
  std::atomic<std::uint64_t> state_{seed_from_kernel()};
};

} // namespace

std::shared_ptr<random_source> make_real_random() {
  return std::make_shared<real_random>();
}

} // namespace weir
