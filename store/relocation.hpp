#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "messages/ids.hpp"
#include "store/block_index.hpp"
#include "store/record_codec.hpp"

namespace weir::store {

class log_store;

/// Moves what is still needed out of segments that hold little of it, so that they can be reused:
/// segments less than a quarter live, and when free segments run short the least live one whatever
/// its share. Copies carry the same job, generation and sequences; recovery takes the later one.
///
/// Paced to a fifth of what is written; a store that writes nothing relocates a group a step.
class relocation {
 public:
  explicit relocation(log_store& store) : store_(store) {}

  /// Moves at most a group. True if there is more to do at once.
  bool step();

 private:
  struct candidate {
    record_kind kind{};
    job_id job{};
    sequence_range range;
    std::uint32_t offset = 0;
  };

  bool allowed();
  std::optional<std::uint16_t> pick() const;
  bool begin(std::uint16_t file);
  bool list_by_sidecar();
  bool list_by_scan();
  std::optional<block_place> live_place(const candidate& x) const;
  bool read(const candidate& x, const block_place& place, std::string& into);

  log_store& store_;
  std::optional<std::uint16_t> file_;
  std::uint32_t segment_ = 0;
  std::vector<candidate> candidates_;
  std::size_t next_ = 0;
  std::uint64_t seen_foreground_ = 0;
  std::uint64_t budget_ = 0;
};

} // namespace weir::store
