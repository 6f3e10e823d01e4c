#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

/// A system call out of a trace of `strace -f -y`. Lines count from 0; of two calls one happened before
/// the other if it returned on an earlier line than the other began.
struct system_call {
  std::string name;
  std::string target; ///< Path or socket of its first argument.
  std::string text;   ///< All arguments, as strace prints them.
  std::size_t begin = 0, end = 0;
  std::int64_t result = 0;

  std::uint64_t last_argument() const; ///< As of pwrite: the offset.
};

/// Calls that returned, in the order they did. Joins those that were interrupted by others.
std::vector<system_call> read_trace(const std::string& text);

/// Where an event lies and which answer acknowledges it.
struct acknowledged_event {
  std::string segment_file; ///< The end of its path.
  std::uint64_t offset = 0; ///< Of its block's record.
  std::size_t answered = 0; ///< Line on which its 200 began to be written.
};

/// Empty if a write took the record, a sync of that file began after the write and returned 0, and only
/// then the answer began. Else what is wrong.
std::string judge_acknowledgement(const std::vector<system_call>& calls, const acknowledged_event& event);

} // namespace weir
