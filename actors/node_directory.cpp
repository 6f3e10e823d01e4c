#include "actors/node_directory.hpp"

namespace weir {

void node_directory::clear() {
  for (std::size_t i = 0; i < forwarders_.size(); ++i)
    enter_forwarder(i, {});
  for (std::size_t i = 0; i < receivers_.size(); ++i)
    enter_receiver(i, {});
  for (std::size_t i = 0; i < shards_.size(); ++i)
    enter_shard(i, {});
  enter_writer({});
  enter_buffers({});
  enter_pusher({});
}

} // namespace weir
