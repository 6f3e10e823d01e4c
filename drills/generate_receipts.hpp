#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "drills/generate_events.hpp"

/// The sender's own record of what was acknowledged, which an audit holds against what arrived.
///
/// A file of JSON lines, only ever appended to and written before the next body is sent. A line with
/// `weir_receipts` describes the sender of those that follow; each of these is one acknowledged body:
///
///     {"weir_receipts":1,"seed":1,"zones":200,"zipf":0}
///     {"key":"1-5f3a-0","first":0,"count":1534,"accepted":383,"not_entitled":1151,"filtered":0,"shed":0,"rejected":0}
///
/// An event follows from seed and counter, so `first` and `count` name each one exactly.
namespace weir::generate {

/// What a node answered with status 200.
struct acknowledged_body {
  std::string key;         ///< `Idempotency-Key`
  std::uint64_t first = 0; ///< Counter of the first event.
  std::uint64_t count = 0;
  std::uint64_t accepted = 0; ///< Per job that wants it, as in the node's answer; with `repeated`.
  std::uint64_t not_entitled = 0;
  std::uint64_t filtered = 0;
  std::uint64_t shed = 0;
  std::uint64_t rejected = 0;
};

/// Reads the counts out of a node's answer. False if it is none.
bool parse_answer(std::string_view json, acknowledged_body& body);

class receipt_writer {
 public:
  /// Appends. Throws `std::system_error`, as `write` does.
  receipt_writer(const std::string& path, const traffic& what);
  ~receipt_writer();
  receipt_writer(const receipt_writer&) = delete;
  receipt_writer& operator=(const receipt_writer&) = delete;

  /// The line has left the process when this returns; so a kill of either side loses none.
  void write(const acknowledged_body& body);

 private:
  void put(std::string_view line);
  std::string path_;
  int fd_ = -1;
};

/// Calls `visit` for each acknowledged body. A last line without an end is left out: its body counts
/// as not acknowledged. Throws `std::system_error`, or `std::runtime_error` with the line's number
/// if the file is no record of receipts.
void read_receipts(const std::string& path, const std::function<void(const traffic&, const acknowledged_body&)>& visit);

} // namespace weir::generate
