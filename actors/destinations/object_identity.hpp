#pragma once

#include <string>

#include "messages/environment.hpp"

namespace weir {

/// What an object holds, told by its members' own words: `job/generation/first-last`. Empty if that
/// cannot be told: not ours, damaged, or not one contiguous run of one job. Reads the whole file, in
/// bounded memory; for the rare case that a name is taken.
std::string identity_of_object(disk_file& file);

} // namespace weir
