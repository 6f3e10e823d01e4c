#pragma once

#include <memory>
#include <string>

#include "messages/environment.hpp"

/// The world as it is. Only `apps/` calls these; every other part takes an `environment`. The
/// network is made by `actors/destinations`, which knows the protocols.
namespace weir {

/// The file systems of this machine. Files are made with mode 0640 and directories with 0750, both
/// less the umask: what customers send is nobody else's to read. Descriptors are close-on-exec.
std::shared_ptr<disk> make_real_disk();

/// CLOCK_MONOTONIC and CLOCK_REALTIME.
std::shared_ptr<clock_source> make_real_clock();

/// SplitMix64 from 64 bits of getrandom(2): one atomic addition a number. Good for jitter, names and
/// generations; not for keys or tokens. Throws `std::system_error` if the kernel gives no seed.
std::shared_ptr<random_source> make_real_random();

/// Reads `/proc` and the cgroup files (version 1 or 2, every level up to the mount's root) below
/// `root`, which is something else than `/` in tests only. `resident` costs one pread; `available`
/// opens a few files each time, because limits change while a process runs: ask once a second, not
/// once a body. Throws `std::system_error` if there is no `/proc/self/statm` or `/proc/meminfo`.
std::shared_ptr<memory_meter> make_real_memory(const std::string& root = "/");

} // namespace weir
