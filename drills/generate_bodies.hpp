#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "drills/generate_events.hpp"

namespace weir::generate {

/// A request body ready to be sent: whole events of one sender, in a row.
struct ready_body {
  std::uint64_t first = 0; ///< Counter of the first event.
  std::uint64_t count = 0;
  std::string bytes; ///< NDJSON, or one gzip member of it.
};

struct body_plan {
  traffic what;
  std::uint64_t start = 0;            ///< First counter.
  std::uint64_t events = 0;           ///< How many; 0 = without end.
  std::size_t body_bytes = 1'000'000; ///< Raw bytes of a body, at least one event; the last is shorter.
  bool gzip = false;
};

/// Where bodies come from.
class body_source {
 public:
  virtual ~body_source() = default;
  virtual const body_plan& plan() const noexcept = 0;
  /// False at the end. `body.bytes` keeps its capacity.
  virtual bool next(ready_body& body) = 0;
};

/// Renders bodies as they are asked for: 0.1 CPU seconds a million events, 0.6 with gzip.
std::unique_ptr<body_source> make_body_source(const body_plan& plan);

/// Bodies in a file, so that sending them again costs no rendering. All numbers little endian:
///
///     8 bytes  "WEIRBOD1"
///     8 seed, 8 zones, 8 zipf (IEEE 754), 8 start, 8 events, 8 body bytes, 1 gzip (0 or 1)
///     for each body: 4 bytes of the body, 4 events in it, 8 counter of the first; the body
///
/// Ends with its last body.
class body_file_writer {
 public:
  /// Throws `std::system_error`.
  body_file_writer(const std::string& path, const body_plan& plan);
  ~body_file_writer();
  body_file_writer(const body_file_writer&) = delete;
  body_file_writer& operator=(const body_file_writer&) = delete;

  void write(const ready_body& body);
  /// Must be called for the file to be complete. Throws `std::system_error`.
  void close();

 private:
  std::string path_;
  std::FILE* file_ = nullptr;
};

/// Throws `std::system_error`, or `std::runtime_error` if it is no such file; `next` too.
std::unique_ptr<body_source> open_body_file(const std::string& path);

} // namespace weir::generate
