#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/test_seed.hpp"

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::uint64_t to_number(const nlohmann::json& value) {
  return std::stoull(value.get<std::string>());
}

void flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const auto byte = static_cast<char>(file.get() ^ 1 << bit);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(byte);
  REQUIRE(file.flush());
}

struct record {
  std::string file;
  std::uint64_t offset, bytes;
  std::string kind;
  std::string events; ///< Job, generation and sequences.
};

/// The records in the store's files, as `weir store verify --records` names them.
std::vector<record> records_of(const std::string& text) {
  std::map<std::string, std::string> files;
  std::istringstream first(text), second(text);
  for (std::string line; std::getline(first, line);) {
    std::istringstream words(line);
    std::string file, word, number;
    if (words >> file >> word >> number && word == "segment")
      files[number] = file;
  }
  std::vector<record> records;
  for (std::string line; std::getline(second, line);) {
    std::istringstream words(line);
    std::string place, kind, word, job, generation, range;
    std::uint64_t bytes = 0;
    if (line.rfind("  ", 0) == 0 && line.find('+') != std::string::npos
        && words >> place >> kind >> word >> job >> generation >> range >> bytes) {
      const auto plus = place.find('+');
      records.push_back({files[place.substr(0, plus)], std::stoull(place.substr(plus + 1)), bytes, kind,
                         job + ' ' + generation + ' ' + range});
    }
  }
  return records;
}

struct damaged_store {
  weir::restarts run;
  explicit damaged_store(std::uint64_t seed) : run(weir::plan_of_small_segments(), seed) {}
  std::string store() { return run.node.data_dir() + "/store"; }

  /// A backlog of some thousand events in a few segments, and no process.
  weir::withdrawn_objects fill(std::uint64_t bodies) {
    run.start();
    weir::withdrawn_objects away(run.node);
    run.send(0);
    REQUIRE(run.let_pass(bodies));
    run.end_sender();
    run.node.kill();
    // A fence names the end of what was durable: from here on a bad byte before it cannot be a torn write.
    run.start();
    run.node.kill();
    return away;
  }
};

} // namespace

TEST_CASE("DSK-04: of 200 flipped bits each is found, its record alone is set aside, and all others are delivered") {
  damaged_store damaged(weir::test_seed("bit flips", 31));
  auto& run = damaged.run;
  auto away = damaged.fill(3000);
  const auto sound = run.node.run({"store", "verify", damaged.store(), "--records"});
  REQUIRE_EQ(sound.exit_code, 0);
  std::vector<record> blocks;
  const auto records = records_of(sound.text);
  std::map<std::string, unsigned> copies; // Relocation may have begun: a block with a copy would not be lost.
  for (const auto& x : records)
    copies[x.events] += x.kind == "block";
  // Every other one: two damaged headers in a row are one damaged place.
  std::uint64_t seen = 0;
  for (const auto& x : records)
    if (x.kind == "block" && copies[x.events] == 1 && ++seen % 2 == 0)
      blocks.push_back(x);
  REQUIRE_GT(blocks.size(), 400);
  std::shuffle(blocks.begin(), blocks.end(), run.random);
  constexpr std::size_t flips = 200;
  std::vector<std::uint64_t> within(flips);
  for (std::size_t i = 0; i < flips; ++i) {
    // Header and the beginning of the meta data, or payload: the few bytes that fill either up to eight mean nothing.
    const auto half = blocks[i].bytes / 2;
    within[i] = run.draw(4) == 0 ? run.draw(88) : half + run.draw(half - 8);
    flip_bit(damaged.store() + '/' + blocks[i].file, blocks[i].offset + within[i], static_cast<unsigned>(run.draw(8)));
  }

  const auto verified = run.node.run({"store", "verify", damaged.store()});
  CHECK_EQ(verified.exit_code, 1);
  std::size_t named = 0;
  for (std::size_t i = 0; i < flips; ++i) {
    const auto line = "DAMAGE: " + blocks[i].file + " at " + std::to_string(blocks[i].offset) + ":";
    if (verified.text.find(line) != std::string::npos)
      ++named;
    else
      MESSAGE("not named: byte " << within[i] << " of the " << blocks[i].bytes << " at " << blocks[i].file << '+'
                                 << blocks[i].offset);
  }
  INFO(verified.text.substr(0, 3000));
  CHECK_EQ(named, flips);

  run.node.start();
  away.give_back();
  CHECK(run.node.drained());
  const auto ledger = run.node.ledger();
  INFO(ledger.dump());
  CHECK_EQ(ledger["balanced"], true);
  const auto set_aside = to_number(ledger["totals"]["set_aside"]);
  CHECK_GE(set_aside, flips);
  CHECK_EQ(to_number(run.node.state()["set_aside_records"]), flips);
  CHECK_EQ(run.node.stop(), 0);
  const auto verdict = run.node.audit();
  INFO(verdict.text.substr(0, 3000));
  CHECK_EQ(verdict.number("receipts.missing"), set_aside);
  CHECK_EQ(verdict.number("gaps"), set_aside);
  CHECK_EQ(verdict.number("doubled_sequences"), 0);
  CHECK_EQ(verdict.number("doubled_events"), 0);
  CHECK_EQ(verdict.number("damaged_files"), 0);
  CHECK_EQ(verdict.number("unreadable"), 0);
  CHECK_EQ(verdict.number("events") + set_aside, verdict.number("receipts.expected"));
  CHECK_EQ(to_number(ledger["totals"]["delivered"]), verdict.number("events"));
}

TEST_CASE("DSK-04: flipped bits in cuts, answers, fences and group headers neither stop a node nor cost a block") {
  damaged_store damaged(weir::test_seed("bit flips between blocks", 32));
  auto& run = damaged.run;
  auto away = damaged.fill(1500);
  const auto records = records_of(run.node.run({"store", "verify", damaged.store(), "--records"}).text);
  // Of what no block covers: records of other kinds, and the 32 bytes of a group's header before its first record.
  std::vector<std::pair<std::string, std::uint64_t>> places;
  for (const auto& x : records) {
    if (x.kind != "block")
      places.emplace_back(x.file, x.offset + run.draw(48));
    if (x.kind == "block" && run.draw(4) == 0)
      places.emplace_back(x.file, x.offset - 1 - run.draw(32));
  }
  std::shuffle(places.begin(), places.end(), run.random);
  std::map<std::string, std::vector<std::pair<std::uint64_t, std::uint64_t>>> blocks;
  for (const auto& x : records)
    if (x.kind == "block")
      blocks[x.file].emplace_back(x.offset, x.offset + x.bytes);
  std::size_t flips = 0;
  for (const auto& [file, offset] : places) {
    const auto& taken = blocks[file];
    if (flips == 100
        || std::any_of(taken.begin(), taken.end(), [at = offset](auto& x) { return at >= x.first && at < x.second; }))
      continue;
    flip_bit(damaged.store() + '/' + file, offset, static_cast<unsigned>(run.draw(8)));
    ++flips;
  }
  REQUIRE_EQ(flips, 100);
  CHECK_EQ(run.node.run({"store", "verify", damaged.store()}).exit_code, 1);

  run.node.start();
  away.give_back();
  CHECK(run.node.drained());
  const auto ledger = run.node.ledger();
  INFO(ledger.dump());
  CHECK_EQ(ledger["totals"]["set_aside"], "0");
  // New events of every job are taken, whatever was lost of the old numbering.
  for (const auto& zone : weir::running_node::zones(4))
    CHECK_NE(run.node.post("{\"ZoneID\":\"" + zone + "\"}\n").body.find("\"accepted\":1"), std::string::npos);
  CHECK(run.node.drained());
  CHECK_EQ(run.node.stop(), 0);
  const auto verdict = run.node.audit();
  INFO(verdict.text.substr(0, 3000));
  CHECK_EQ(verdict.exit_code, 0);
  CHECK_EQ(verdict.number("events"), verdict.number("receipts.expected") + 4);
}
