#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <map>
#include <thread>

#include "store/block_index.hpp"
#include "store/checksum.hpp"
#include "store/record_codec.hpp"
#include "tests/unit/store/store_fixture.hpp"

using namespace weir;
using namespace weir::store;

namespace {

indexed_block a_block(std::uint64_t of, sequence first, std::uint64_t count) {
  indexed_block x;
  x.range = {generation{of}, first, count};
  x.place.file = 3;
  x.place.offset = static_cast<std::uint32_t>(first * 8);
  x.place.payload_bytes = 1'000;
  x.place.meta_bytes = 32;
  x.arrival_seconds = 1'700'000'000;
  return x;
}

} // namespace

TEST_CASE("the index takes at most 32 bytes a buffer and 16 bytes a block") {
  block_index many_jobs;
  for (std::uint64_t job = 1; job <= 1'000'000; ++job)
    many_jobs.jobs().find_or_add(job_id{1'000'000 + job});
  CHECK(many_jobs.bytes() <= 32u * 1'000'000);

  block_index many_blocks;
  std::vector<block_index::slot> slots;
  for (std::uint64_t job = 1; job <= 50; ++job)
    slots.push_back(many_blocks.jobs().find_or_add(job_id{job}));
  for (sequence i = 0; i < 20'000; ++i)
    for (auto slot : slots)
      many_blocks.append(slot, a_block(9, 1 + i * 10, 10));
  CHECK_EQ(many_blocks.blocks(), 1'000'000u);
  CHECK(many_blocks.bytes() <= 16u * 1'000'000 + (64u << 10));

  std::vector<indexed_block> removed;
  for (auto slot : slots)
    CHECK_EQ(many_blocks.trim(slot, generation{9}, 200'001, removed), 200'000u);
  CHECK_EQ(many_blocks.blocks(), 0u);
}

TEST_CASE("the index finds every job among many and none that is not there") {
  job_table table;
  for (std::uint64_t job = 1; job <= 50'000; ++job)
    CHECK_EQ(table.find_or_add(job_id{job * 7919}), job - 1);
  for (std::uint64_t job = 1; job <= 50'000; ++job) {
    REQUIRE(table.find(job_id{job * 7919}));
    CHECK_EQ(*table.find(job_id{job * 7919}), job - 1);
    CHECK_FALSE(table.find(job_id{job * 7919 + 1}));
  }
}

TEST_CASE("the index gives a block back as it was put in, to the last bit of every field") {
  block_index index;
  auto slot = index.jobs().find_or_add(job_id{1});
  indexed_block x;
  x.range = {generation{~0ull}, 123'456'789'012, most_block_events};
  x.place = {0xfffd, (128u << 20) - 8, 4'096, 8'000'001};
  x.arrival_seconds = 0xfffffff0u;
  index.append(slot, x);
  auto found = index.find(slot, x.range);
  REQUIRE(found);
  CHECK(found->place == x.place);
  CHECK_EQ(found->place.payload_bytes, 8'000'001u);
  CHECK_EQ(found->place.meta_bytes, 4'096u);
  CHECK_EQ(found->arrival_seconds, 0xfffffff0u);
  CHECK_EQ(found->range.count, most_block_events);
}

TEST_CASE("the checksum is CRC-32C") {
  CHECK_EQ(crc32c("123456789"), 0xe3069283u);
  CHECK_EQ(crc32c("6789", crc32c("12345")), 0xe3069283u);
  CHECK_EQ(crc32c(""), 0u);
}

TEST_CASE("no single flipped bit in a header passes, nor a header of another store") {
  record_codec codec(77);
  record_header x;
  x.kind = record_kind::block;
  x.segment = 5;
  x.meta_bytes = 300;
  x.payload_bytes = 70'000;
  x.job = job_id{9};
  x.range = {generation{8}, 1'000, 20};
  std::string bytes(record_header_bytes, '\0');
  codec.encode(x, bytes.data());
  auto back = codec.decode_record(bytes, 5);
  REQUIRE(back);
  CHECK(back->range == x.range);
  CHECK_EQ(back->payload_bytes, 70'000u);
  CHECK_EQ(back->meta_bytes, 300u);
  CHECK_FALSE(codec.decode_record(bytes, 6));
  CHECK_FALSE(record_codec(78).decode_record(bytes, 5));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto bad = bytes;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(codec.decode_record(bad, 5));
  }
}

namespace {

/// A disk with advisory locks, as real ones have.
class locking_disk final : public disk {
 public:
  explicit locking_disk(std::shared_ptr<disk> of) : of_(std::move(of)) {}

  std::error_code open(const std::string& path, open_mode mode, std::unique_ptr<disk_file>& file) override {
    std::unique_ptr<disk_file> opened;
    if (auto error = of_->open(path, mode, opened))
      return error;
    file = std::make_unique<locking_file>(std::move(opened), held_[path]);
    return {};
  }
  std::error_code rename(const std::string& a, const std::string& b) override { return of_->rename(a, b); }
  std::error_code remove(const std::string& a) override { return of_->remove(a); }
  std::error_code make_directories(const std::string& a) override { return of_->make_directories(a); }
  std::error_code list(const std::string& a, std::vector<std::string>& b) override { return of_->list(a, b); }
  std::error_code sync_directory(const std::string& a) override { return of_->sync_directory(a); }
  std::error_code free_space(const std::string& a, space& b) override { return of_->free_space(a, b); }

 private:
  class locking_file final : public disk_file {
   public:
    locking_file(std::unique_ptr<disk_file> of, bool& held) : of_(std::move(of)), held_(held) {}
    ~locking_file() override {
      if (mine_)
        held_ = false;
    }
    std::error_code lock() override {
      if (held_)
        return std::make_error_code(std::errc::operation_would_block);
      return held_ = mine_ = true, std::error_code{};
    }
    std::error_code write(std::uint64_t at, const std::vector<std::string_view>& x) override {
      return of_->write(at, x);
    }
    std::error_code read(std::uint64_t at, char* to, std::size_t size, std::size_t& got) override {
      return of_->read(at, to, size, got);
    }
    std::error_code sync() override { return of_->sync(); }
    std::error_code allocate(std::uint64_t x) override { return of_->allocate(x); }
    std::error_code truncate(std::uint64_t x) override { return of_->truncate(x); }
    std::error_code size(std::uint64_t& x) override { return of_->size(x); }

   private:
    std::unique_ptr<disk_file> of_;
    bool& held_;
    bool mine_ = false;
  };

  std::shared_ptr<disk> of_;
  std::map<std::string, bool> held_;
};

} // namespace

TEST_CASE("two stores cannot be open over one directory") {
  store_fixture x;
  auto world = x.world();
  world.disk = std::make_shared<locking_disk>(x.disk);
  {
    auto first = segmented_store::open(x.how, world);
    REQUIRE(first);
    auto second = segmented_store::open(x.how, world);
    REQUIRE_FALSE(second);
    CHECK_EQ(code_of(second.error()), errc::refused);
    REQUIRE_FALSE(first->store->append({make::block(7, 100, 1, 3, "abc")}));
  }
  auto third = segmented_store::open(x.how, world);
  REQUIRE(third);
  CHECK_EQ(third->store->read(job_id{7}, {generation{100}, 1, 3})->payload, "abc");
}

TEST_CASE_FIXTURE(store_fixture, "reads from other threads are right while segments are relocated and recycled") {
  how.segment_bytes = 16 << 10;
  how.group_bytes = 4 << 10;
  REQUIRE_FALSE(try_open());
  auto payload_of = [](sequence i) { return fmt::format("{:0>700}", i); };
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> read{0}, wrong{0};
  std::thread reader([&] {
    while (!stop) {
      for (auto id : {1u, 2u})
        for (const auto& block : store->blocks(job_id{id}, 8)) {
          auto bytes = store->read(job_id{id}, block.range);
          if (bytes)
            ++read;
          if (bytes ? bytes->payload != payload_of(block.range.first) : code_of(bytes.error()) != errc::not_found)
            ++wrong;
        }
      store->used();
      store->ledger();
    }
  });
  sequence stuck = 0;
  for (sequence i = 1; i <= 3'000; ++i) {
    CHECK_FALSE(store->append({make::block(1, 100, i, 1, payload_of(i))}));
    if (i % 25 == 0) {
      ++stuck;
      CHECK_FALSE(store->append({make::block(2, 100, stuck, 1, payload_of(stuck))}));
    }
    if (i > 20)
      CHECK_FALSE(store->append({make::commit(1, 100, i - 20, 1)}));
    store->maintain();
  }
  while (read < 1'000)
    std::this_thread::yield();
  stop = true;
  reader.join();
  CHECK_EQ(wrong, 0u);
  CHECK(store->used().relocated_bytes > 0);
}
