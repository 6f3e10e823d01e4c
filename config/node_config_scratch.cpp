#include <fmt/format.h>

#include "config/node_config_reading.hpp"

namespace weir {

void confine_scratch_node(const reading& in) {
  const auto& root = in.world.scratch_root;
  if (root.empty())
    return;
  auto& config = in.config();
  config.data_dir = root + "/data";
  config.destinations.scratch_root = root;
  config.destinations.file_roots = {root};
  const auto confine = [&](const listen_address& at, const char* path) {
    if (!at.loopback)
      in.result.problems.add(path, fmt::format("is {}; a scratch node listens on loopback only", at.text()));
  };
  confine(config.http.listen, "ingest.http.listen");
  confine(config.control.listen, "control.listen");
}

} // namespace weir
