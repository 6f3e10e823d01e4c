#include <doctest/doctest.h>

#include "actors/buffer_records.hpp"
#include "actors/store_writer.hpp"
#include "tests/support/deterministic_system.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

struct writer_fixture : deterministic_system {
  std::shared_ptr<metrics_registry> registry = std::make_shared<metrics_registry>();
  std::shared_ptr<store::segmented_store> store;
  store_writer_actor writer;

  writer_fixture() {
    store::settings how;
    how.directory = "/store";
    how.segment_bytes = 256 << 10;
    REQUIRE_FALSE(disk->make_directories(how.directory));
    auto opened = store::segmented_store::open(how, world);
    REQUIRE(opened);
    store = std::move(opened->store);
    store_writer_parts parts;
    parts.store = store;
    parts.status = std::make_shared<node_status>();
    parts.directory = std::make_shared<node_directory>(1, 1, 1);
    parts.metrics = std::make_shared<store_metrics>(registry->families());
    writer = owned(system.spawn(store_writer, std::move(parts)));
  }

  static record_group_ptr group_of(store::append_record record) {
    auto group = std::make_shared<record_group>();
    group->records.push_back(std::move(record));
    return group;
  }
};

store::append_record block(sequence first) {
  store::append_record record;
  record.kind = store::record_kind::block;
  record.job = job_id{7};
  record.range = {generation{1}, first, 2};
  proto::BlockMeta meta;
  meta.set_received_first_ns(1'731'584'580'000'000'000);
  meta.set_raw_bytes(20);
  record.meta = meta.SerializeAsString();
  record.payload = std::make_shared<const std::string>("not looked into");
  return record;
}

} // namespace

TEST_CASE_FIXTURE(writer_fixture, "a record that the store refuses fails alone, not the group it came in") {
  const auto good = ask_later<recorded>(writer, group_of(block(1)));
  store::append_record fence;
  fence.kind = store::record_kind::fence; // only the store itself may write one
  const auto bad = ask_later<recorded>(writer, group_of(fence));
  bool accounted = false;
  auto account = std::make_shared<body_account>();
  account->meta = proto::BodyAccount{}.SerializeAsString();
  account->finish = [&](bool durable) { accounted = durable; };
  run();
  tell(writer, account);
  account.reset();
  advance(20ms);
  REQUIRE(good.answered());
  CHECK(good.get());
  REQUIRE(bad.answered());
  CHECK_EQ(code_of(bad.get().error()), errc::refused);
  CHECK(accounted);
  REQUIRE_EQ(store->blocks(job_id{7}, 10).size(), 1u);
}
