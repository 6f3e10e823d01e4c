#pragma once

#include <memory>
#include <string>
#include <vector>

#include <caf/expected.hpp>
#include "store/store.hpp"

#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_disk.hpp"
#include "tests/support/fake_memory.hpp"
#include "tests/support/fake_random.hpp"

namespace weir::store {

/// Records as the roles would write them, short to write in a test.
namespace make {

inline append_record block(std::uint64_t job, std::uint64_t of, sequence first, std::uint64_t count,
                           std::string payload, std::vector<batch_id> batches = {},
                           std::uint64_t arrived_ns = 1'731'584'580'000'000'000) {
  proto::BlockMeta meta;
  meta.set_received_first_ns(arrived_ns);
  meta.set_received_last_ns(arrived_ns);
  meta.set_raw_bytes(static_cast<std::uint32_t>(payload.size()));
  for (const auto& x : batches) {
    auto* batch = meta.add_batches();
    batch->set_high(x.high);
    batch->set_low(x.low);
  }
  return {record_kind::block,
          job_id{job},
          {generation{of}, first, count},
          meta.SerializeAsString(),
          std::make_shared<const std::string>(std::move(payload))};
}

inline append_record dead(std::uint64_t job, std::uint64_t of, sequence first, std::uint64_t count,
                          std::string payload) {
  auto x = block(job, of, first, count, std::move(payload));
  proto::BlockMeta meta;
  meta.set_dead_reason("HTTP 400");
  x.kind = record_kind::dead;
  x.meta = meta.SerializeAsString();
  return x;
}

inline proto::Cut cut_of(const std::string& name, std::uint64_t of, sequence first, std::uint64_t count) {
  proto::Cut x;
  x.set_object_name(name);
  x.set_generation(of);
  x.set_first(first);
  x.set_count(count);
  return x;
}

inline append_record cut(std::uint64_t job, const proto::Cut& x) {
  return {record_kind::cut,
          job_id{job},
          {generation{x.generation()}, x.first(), x.count()},
          x.SerializeAsString(),
          nullptr};
}

inline append_record commit(std::uint64_t job, std::uint64_t of, sequence first, std::uint64_t count) {
  proto::Commit x;
  x.set_generation(of);
  x.set_first(first);
  x.set_count(count);
  return {record_kind::commit, job_id{job}, {generation{of}, first, count}, x.SerializeAsString(), nullptr};
}

inline append_record trim(std::uint64_t job, std::uint64_t of, sequence first, std::uint64_t count,
                          proto::Trim::Reason reason) {
  proto::Trim x;
  x.set_generation(of);
  x.set_first(first);
  x.set_count(count);
  x.set_reason(reason);
  return {record_kind::trim, job_id{job}, {generation{of}, first, count}, x.SerializeAsString(), nullptr};
}

inline append_record closing(std::uint64_t job, std::uint64_t of, sequence next) {
  return {record_kind::closing, job_id{job}, {generation{of}, next, 0}, {}, nullptr};
}

inline append_record done(const batch_id& batch, std::uint64_t digest, const std::string& answer,
                          std::uint64_t at_ns = 1'731'584'580'000'000'000) {
  proto::BodyAccount x;
  x.mutable_batch()->set_high(batch.high);
  x.mutable_batch()->set_low(batch.low);
  x.set_body_digest(digest);
  x.set_answer(answer);
  x.set_status(200);
  x.set_at_ns(at_ns);
  return {record_kind::batch_done, job_id{}, {}, x.SerializeAsString(), nullptr};
}

} // namespace make

/// A store on a disk that forgets what was not synced.
struct store_fixture {
  std::shared_ptr<fake_disk> disk = std::make_shared<fake_disk>();
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<fake_random> random = std::make_shared<fake_random>(7);
  settings how;
  std::unique_ptr<segmented_store> store;
  recovery_report report;

  store_fixture() {
    how.directory = "/data/store";
    how.segment_bytes = 64 << 10;
    how.group_bytes = 16 << 10;
  }

  environment world() const {
    environment x;
    x.clock = clock;
    x.disk = disk;
    x.random = random;
    x.memory = std::make_shared<fake_memory>();
    return x;
  }

  caf::error try_open() {
    store.reset();
    auto opened = segmented_store::open(how, world());
    if (!opened)
      return opened.error();
    store = std::move(opened->store);
    report = opened->report;
    return {};
  }

  /// The process ends at once; what was not synced is lost as `seed` says.
  void crash(std::uint64_t seed) {
    store.reset();
    disk->crash(seed);
  }

  void upkeep() {
    for (int i = 0; i < 10'000 && store->maintain(); ++i) {
    }
  }
};

} // namespace weir::store
