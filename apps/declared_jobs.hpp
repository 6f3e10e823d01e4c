#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "actors/config_desk.hpp"
#include "supervisors/control_routes.hpp"

namespace weir {

/// The jobs of `weir.toml` and its job file as a source of the publisher: what was loaded last. Thread-safe.
class declared_jobs {
 public:
  /// `who` loaded them, for the audit trail.
  void set(config_snapshot_ptr snapshot, std::string who);
  /// For the publisher.
  config_reading read();
  /// Whether the publisher has read what was set last.
  bool was_read() const;

 private:
  mutable std::mutex mutex_;
  config_reading now_;
  bool read_ = false;
};

/// Waits until the publisher has judged what `jobs` holds, and, if it rolls it out, until that is over, but no longer
/// than `patience`; says what became of it. Blocks, so not for a thread that answers others.
reload_result await_judgement(const declared_jobs& jobs, const config_desk& desk, std::chrono::milliseconds patience);

} // namespace weir
