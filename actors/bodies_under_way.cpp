#include "actors/bodies_under_way.hpp"

namespace weir {

std::shared_ptr<const void> bodies_under_way::enter(const std::string& sender, std::uint64_t bytes) {
  std::shared_ptr<cell> mine;
  {
    std::lock_guard lock{mutex_};
    auto& known = cells_[sender];
    if (!known)
      known = std::make_shared<cell>();
    mine = known;
  }
  mine->bodies.fetch_add(1);
  mine->bytes.fetch_add(bytes);
  return {mine.get(), [mine, bytes](const void*) {
            mine->bodies.fetch_sub(1);
            mine->bytes.fetch_sub(bytes);
          }};
}

std::map<std::string, bodies_under_way::counts> bodies_under_way::all() const {
  std::map<std::string, counts> result;
  std::lock_guard lock{mutex_};
  for (const auto& [name, x] : cells_)
    result[name] = {x->bodies.load(), x->bytes.load()};
  return result;
}

} // namespace weir
