#pragma once

#include "config/node_config.hpp"

namespace weir {

/// What reading a config needs of this machine: its files, environment, memory, cores and disks.
config_world real_config_world();

} // namespace weir
