#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "drills/http_call.hpp"
#include "messages/secret.hpp"

namespace weir::drills {

/// A directory for one drill: made new, removed in the end, everything in it.
class drill_place {
 public:
  /// Below `parent`. Throws `std::system_error`.
  explicit drill_place(const std::string& parent, bool keep = false);
  ~drill_place();
  drill_place(const drill_place&) = delete;
  drill_place& operator=(const drill_place&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  bool keep_;
};

/// Writes a file beside its name and renames it, as a careful generator does. Throws `std::system_error`.
void write_file(const std::string& path, const std::string& text, unsigned mode = 0644);

/// A port of the loopback address on which nobody listens at the moment.
std::uint16_t free_loopback_port();

struct scratch_plan {
  std::string program; ///< `weir`
  std::string place;   ///< An existing directory; config and log go there, the node's own directory is below.
  std::string config;  ///< Text of weir.toml.
  std::vector<std::string> unsafe_off;
  std::uint16_t ingest_port = 0, control_port = 0; ///< As the config has them.
  secret token;                                    ///< With the right to read.
};

/// A `weir run --scratch` that belongs to a drill and ends with it.
class scratch_node {
 public:
  explicit scratch_node(scratch_plan plan) : plan_(std::move(plan)) {}
  ~scratch_node();
  scratch_node(const scratch_node&) = delete;
  scratch_node& operator=(const scratch_node&) = delete;

  /// Starts it and waits until it is ready. Throws `std::runtime_error` with the end of its log.
  void start(std::chrono::milliseconds within = std::chrono::seconds{60});
  bool running();
  /// SIGTERM, then SIGKILL after `within`. The exit code, or minus the signal.
  int stop(std::chrono::milliseconds within = std::chrono::seconds{60});

  call_result call(const std::string& method, const std::string& path, const std::string& body = {}) const {
    return call_node(plan_.control_port, plan_.token, method, path, body);
  }
  std::string metrics() const { return call("GET", "/metrics").body; }
  /// Of the process, in bytes; 0 if it does not run.
  std::uint64_t resident_bytes() const;
  std::uint64_t peak_resident_bytes() const;
  std::string directory() const { return plan_.place + "/scratch"; } ///< The node's own.
  std::string log_file() const { return plan_.place + "/node.log"; }
  pid_t id() const noexcept { return pid_; }
  const scratch_plan& plan() const noexcept { return plan_; }

 private:
  std::string end_of_log() const;

  scratch_plan plan_;
  pid_t pid_ = -1;
  int status_ = 0;
};

} // namespace weir::drills
