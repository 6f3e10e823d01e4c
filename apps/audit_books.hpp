#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "messages/ids.hpp"

/// What an audit remembers of the events it has seen, in memory that stays small: two bits an event
/// of the load generator, 16 bytes for one of others, 24 bytes a gzip member.
namespace weir::audit {

/// A set of numbers below 2^40 that are mostly neighbours: 8 KiB for each 65,536 that it touches.
class number_set {
 public:
  static constexpr std::uint64_t limit = 1ull << 40;

  /// False if it was there already. `x` must be below `limit`.
  bool insert(std::uint64_t x);
  bool contains(std::uint64_t x) const noexcept;

 private:
  using page = std::array<std::uint64_t, 1024>;
  std::unordered_map<std::uint64_t, std::unique_ptr<page>> pages_;
  std::uint64_t last_number_ = ~std::uint64_t{0};
  page* last_ = nullptr;
};

/// Runs of sequences of one generation, in any order.
class sequence_book {
 public:
  void add(const sequence_range& range) { runs_.emplace_back(range.first, range.count); }

  struct verdict {
    sequence last = 0;         ///< The highest seen.
    std::uint64_t missing = 0; ///< Between 1 and `last`.
    std::uint64_t doubled = 0; ///< Seen more than once.
    sequence first_missing = 0;
    sequence first_doubled = 0;
  };
  verdict judge();

 private:
  std::vector<std::pair<sequence, std::uint64_t>> runs_;
};

/// Which jobs deliver events of a zone. Jobs of one zone lie in different layers, so that one bit
/// for each layer and event tells every job's share of it.
class zone_book {
 public:
  /// The layer of a job's events of a zone, from 0; a new one for a pair not seen before.
  std::size_t layer(job_id job, std::string_view zone);

  /// Jobs in the order of their layers. Null if no job was ever seen for the zone.
  const std::vector<job_id>* jobs_of(std::string_view zone) const;

  std::size_t zones() const noexcept { return zones_.size(); }

 private:
  std::unordered_map<std::string, std::vector<job_id>> zones_;
};

/// Which events arrived, each by what names it.
class event_book {
 public:
  /// An event of the load generator. False if that job delivered it already.
  bool add(std::uint64_t sender, std::uint64_t counter, std::size_t layer);
  /// An event of somebody else, by a name that its job must not deliver twice.
  void add_named(job_id job, std::string_view name);

  bool contains(std::uint64_t sender, std::uint64_t counter, std::size_t layer) const noexcept;

  /// How many named events each job delivered more than once. Ends the use of `add_named`.
  std::map<job_id, std::uint64_t> doubled_named();

 private:
  std::map<std::pair<std::uint64_t, std::size_t>, number_set> counters_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> named_; ///< Hash of the name, job.
};

} // namespace weir::audit
