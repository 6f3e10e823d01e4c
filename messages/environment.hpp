#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

/// The outside world as five interfaces. Everything that is not deterministic reaches Weir through
/// them, so that a test can replace the world by a simulated one. Only `apps/` makes the real ones.
namespace weir {

/// Time. Actors take their timers from `self->clock()`; this is for everything else.
class clock_source {
 public:
  virtual ~clock_source() = default;
  /// Monotonic; for durations and deadlines.
  virtual std::chrono::steady_clock::time_point steady() const = 0;
  /// What the wall says; for object names and records. It may jump; nothing is timed by it.
  virtual std::chrono::system_clock::time_point wall() const = 0;
};

/// Randomness: one source a process, seeded in tests. Thread-safe.
class random_source {
 public:
  virtual ~random_source() = default;
  virtual std::uint64_t next() = 0;

  /// Uniform in [0, bound). `bound` must not be 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

/// How much memory the process holds and may hold, in bytes.
class memory_meter {
 public:
  virtual ~memory_meter() = default;
  virtual std::uint64_t resident() const = 0;  ///< RSS of this process.
  virtual std::uint64_t available() const = 0; ///< Of the machine or cgroup, whichever is less.
};

/// An open file. Reads and writes name their offset; one file may be read by many threads while
/// one thread writes it. Errors are errno values in the generic category.
class disk_file {
 public:
  virtual ~disk_file() = default;
  /// Writes all pieces one behind the other at `offset`, or returns an error; then any part of
  /// the range may have been written.
  virtual std::error_code write(std::uint64_t offset, const std::vector<std::string_view>& pieces) = 0;
  /// Reads up to `size` bytes; `got` is less than `size` only at the end of the file.
  virtual std::error_code read(std::uint64_t offset, char* into, std::size_t size, std::size_t& got) = 0;
  /// fdatasync. After an error the written data must be taken as lost; never call it again to
  /// "try once more" (Linux reports a write-back error once and marks the pages clean).
  virtual std::error_code sync() = 0;
  /// Reserves `size` bytes from 0 on, so that a later write cannot fail for lack of space.
  virtual std::error_code allocate(std::uint64_t size) = 0;
  virtual std::error_code truncate(std::uint64_t size) = 0;
  virtual std::error_code size(std::uint64_t& bytes) = 0;
  /// Takes the file for this handle alone for as long as it is open (flock); `EWOULDBLOCK` when
  /// another handle, of this or another process, has it. A disk without locks says `ENOSYS`.
  virtual std::error_code lock() { return std::make_error_code(std::errc::function_not_supported); }
};

/// A file system. Paths are absolute or relative to the process's working directory.
class disk {
 public:
  enum class open_mode {
    read,             ///< Must exist.
    read_write,       ///< Must exist.
    create,           ///< Read and write; made when missing, kept when there.
    create_exclusive, ///< Read and write, for this user alone (0600); `EEXIST` when there.
  };
  struct space {
    std::uint64_t total = 0;
    std::uint64_t available = 0;
  };

  virtual ~disk() = default;
  virtual std::error_code open(const std::string& path, open_mode mode, std::unique_ptr<disk_file>& file) = 0;
  virtual std::error_code rename(const std::string& from, const std::string& to) = 0;
  virtual std::error_code remove(const std::string& path) = 0;
  /// With all parents; fine when there. Durable when it returns.
  virtual std::error_code make_directories(const std::string& path) = 0;
  /// Names (not paths) of the entries, sorted.
  virtual std::error_code list(const std::string& directory, std::vector<std::string>& names) = 0;
  /// Makes earlier creations, renames and removals in `directory` durable.
  virtual std::error_code sync_directory(const std::string& directory) = 0;
  virtual std::error_code free_space(const std::string& directory, space& result) = 0;
};

/// How an upload ended, and so what may be done next.
enum class upload_result : std::uint8_t {
  stored,  ///< The destination has it, durably as far as it says.
  exists,  ///< An object of this name was there already; `existing_*` tell what it holds.
  refused, ///< A definite no (4xx but 408 and 429): the same request will always fail.
  failed,  ///< Perhaps stored, perhaps not: timeout, broken connection, 408, 429, 5xx. Try again.
};

struct upload_outcome {
  upload_result result = upload_result::failed;
  int status = 0;                                  ///< HTTP status, or 0.
  std::string error;                               ///< One sentence for the customer; no secret in it.
  std::optional<std::chrono::seconds> retry_after; ///< What the destination asked for.
  std::string existing_identity;                   ///< Of `exists`: `job/generation/first-last` if it can be told.
};

/// What to put where. The bytes come in windows afterwards.
struct upload_order {
  std::string url;         ///< `file:///dir/name`, `https://host/path`; secrets may be in it.
  std::string object_name; ///< Full name, for logs.
  std::string identity;    ///< `job/generation/first-last`; sent as `X-Weir-Batch`.
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::uint64_t> length;              ///< If known beforehand, in bytes.
  std::chrono::milliseconds stall_timeout{30'000};  ///< Without progress for this long: failed.
  std::chrono::milliseconds whole_timeout{300'000}; ///< Of one attempt.
  bool allow_insecure_http = false;
};

/// Told about one upload; calls come from a thread of the network and must return at once.
class upload_listener {
 public:
  virtual ~upload_listener() = default;
  /// The connection took what it had; supply the next window. Called once per window.
  virtual void on_wants_window(std::uint64_t upload) = 0;
  /// The last call for this upload.
  virtual void on_finished(std::uint64_t upload, upload_outcome outcome) = 0;
};

/// The way to destinations. Implementations run on threads of their own and never block the caller.
class network {
 public:
  virtual ~network() = default;
  /// Begins `upload` (a number of the caller's choice, unique while it runs).
  virtual void start(std::uint64_t upload, upload_order order, std::shared_ptr<upload_listener> listener) = 0;
  /// Hands over the next bytes, at most 256 KiB; `last` says that no more will come.
  virtual void supply(std::uint64_t upload, std::string window, bool last) = 0;
  /// Ends it; `on_finished` still comes, with `failed`.
  virtual void cancel(std::uint64_t upload) = 0;
};

/// The five together, as a node hands them to its roles. None is null.
struct environment {
  std::shared_ptr<clock_source> clock;
  std::shared_ptr<weir::disk> disk;
  std::shared_ptr<weir::network> network;
  std::shared_ptr<random_source> random;
  std::shared_ptr<memory_meter> memory;
};

} // namespace weir
