#include "apps/real/real_environment.hpp"

namespace weir {
namespace {

class real_clock final : public clock_source {
 public:
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wall() const override { return std::chrono::system_clock::now(); }
};

} // namespace

std::shared_ptr<clock_source> make_real_clock() {
  return std::make_shared<real_clock>();
}

} // namespace weir
