#include <doctest/doctest.h>

#include <random>
#include <sstream>
#include <string>

#include "config/config_builder.hpp"
#include "config/forwarding_bytes.hpp"
#include "config/forwarding_config.hpp"
#include "tests/unit/config/config_fixture.hpp"

using namespace weir;

namespace {

const std::vector<dataset_config> datasets{{"audit_logs", "AccountID", "", scope_kind::accounts, {}},
                                           {"http_requests", "ZoneID", "EdgeStartTimestamp", scope_kind::zones, {}}};

job job_of(std::uint64_t id, std::string scope, std::string dataset = "http_requests") {
  job x;
  x.id = job_id{id};
  x.dataset = std::move(dataset);
  x.scope = std::move(scope);
  x.destination_conf = secret{"https://example.com/" + std::to_string(id) + "?header_Authorization=canary"};
  x.name = "job " + std::to_string(id);
  if (id % 3 == 0)
    x.field_names = {"RayID", "ClientIP"};
  x.enabled = id % 5 != 0;
  x.max_upload_records = id % 2 == 0 ? 5'000 : 0;
  return x;
}

config_snapshot_ptr snapshot_of(std::size_t jobs, std::uint64_t version = 3) {
  config_builder builder(datasets, {});
  REQUIRE(builder.assign_zone(account_a, zone_a));
  REQUIRE(builder.assign_zone(account_a, "idle"));
  for (std::size_t i = 1; i <= jobs; ++i) {
    auto x = i % 7 == 0   ? job_of(i, "accounts/acc" + std::to_string(i), "audit_logs")
             : i % 2 == 0 ? job_of(i, "zones/" + zone_a)
                          : job_of(i, "zones/z" + std::to_string(i));
    REQUIRE(builder.add(x, i * 11));
  }
  snapshot_identity identity;
  identity.version = config_version{version};
  identity.parent = config_version{version - 1};
  identity.cluster = "weir";
  identity.created = std::chrono::system_clock::time_point{std::chrono::seconds{1'700'000'000}};
  return builder.finish(identity);
}

std::string bytes_of_config(const config_snapshot& from) {
  std::ostringstream into;
  REQUIRE(write_forwarding_config(from, into));
  return into.str();
}

forwarding_expectations expecting() {
  forwarding_expectations result;
  result.cluster = "weir";
  result.datasets = datasets;
  return result;
}

forwarding_config_result load(const std::string& bytes, const forwarding_expectations& expected = expecting()) {
  std::istringstream from(bytes);
  auto result = load_forwarding_config(from, expected);
  CHECK_EQ(result.snapshot == nullptr, result.reason != config_refusal::none);
  CHECK_EQ(result.text.empty(), result.snapshot != nullptr);
  return result;
}

// The config with a changed header under a right checksum: a publisher that is wrong, not a bad disk.
template <class Change>
std::string with_header(const std::string& bytes, Change&& change) {
  std::size_t size = 0;
  for (unsigned i = 0; i < 4; ++i)
    size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[8 + i])) << (8 * i);
  proto::ForwardingEnvelope envelope;
  REQUIRE(envelope.ParseFromString(bytes.substr(12, size)));
  proto::ForwardingHeader header;
  REQUIRE(header.ParseFromString(envelope.header()));
  change(header);
  header.set_content_hash(std::string{bytes_of(content_hash_of(header))});
  envelope.set_header(header.SerializeAsString());
  envelope.set_header_hash(std::string{bytes_of(sha256(envelope.header()))});
  const auto text = envelope.SerializeAsString();
  std::string length;
  for (unsigned i = 0; i < 4; ++i)
    length += static_cast<char>(text.size() >> (8 * i));
  return bytes.substr(0, 8) + length + text + bytes.substr(12 + size);
}

} // namespace

TEST_CASE("a forwarding config comes back from its bytes as it was") {
  const auto made = snapshot_of(500);
  const auto loaded = load(bytes_of_config(*made));
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  const auto& x = *loaded.snapshot;
  CHECK_EQ(number(x.version), 3u);
  CHECK_EQ(number(x.parent), 2u);
  CHECK_EQ(x.cluster, "weir");
  CHECK(x.created == made->created);
  CHECK(x.content == made->content);
  REQUIRE_EQ(x.jobs.size(), 500u);
  REQUIRE_EQ(x.table.size(), made->table.size());
  for (entry_index at = 0; at < x.table.size(); ++at) {
    REQUIRE_EQ(x.table.scope(at), made->table.scope(at));
    REQUIRE_EQ(x.table.dataset(at), made->table.dataset(at));
    REQUIRE_EQ(x.table.entries(at).size(), made->table.entries(at).size());
    for (std::size_t i = 0; i < x.table.entries(at).size(); ++i) {
      const auto& a = x.table.entries(at).begin()[i];
      const auto& b = made->table.entries(at).begin()[i];
      REQUIRE(a.job == b.job);
      REQUIRE_EQ(a.destination_fingerprint, b.destination_fingerprint);
      REQUIRE_EQ(x.tenants.name(a.tenant), made->tenants.name(b.tenant));
      REQUIRE(x.jobs.at(a.settings).job == a.job);
    }
  }
  for (std::uint64_t id = 1; id <= 500; ++id) {
    const auto a = x.find_job(job_id{id});
    const auto b = made->find_job(job_id{id});
    REQUIRE(a);
    REQUIRE(b);
    REQUIRE_EQ(a->scope, b->scope);
    REQUIRE_EQ(a->name, b->name);
    REQUIRE_EQ(a->enabled, b->enabled);
    REQUIRE(a->revision == b->revision);
    REQUIRE_EQ(a->dataset, b->dataset);
    REQUIRE_EQ(a->destination.reveal(), b->destination.reveal());
    REQUIRE_EQ(*a->field_names, *b->field_names);
    REQUIRE_EQ(a->max_upload_records, b->max_upload_records);
    REQUIRE_EQ(a->max_buffer_bytes, b->max_buffer_bytes);
  }
  CHECK_EQ(x.tenants.name(*x.tenants.owner_of(scope_kind::zones, "idle")), "accounts/" + account_a);
}

TEST_CASE("the content's hash follows from the jobs and not from their order, version or time") {
  config_builder forward(datasets, {});
  config_builder backward(datasets, {});
  for (std::uint64_t i = 1; i <= 100; ++i) {
    auto a = job_of(i, "zones/z" + std::to_string(i % 10));
    auto b = job_of(101 - i, "zones/z" + std::to_string((101 - i) % 10));
    REQUIRE(forward.add(a, number(a.id)));
    REQUIRE(backward.add(b, number(b.id)));
  }
  const auto a = forward.finish({config_version{1}, {}, {}, ownership_epoch{1}, "weir", {}});
  const auto b = backward.finish(
      {config_version{9}, config_version{8}, {}, ownership_epoch{1}, "weir", std::chrono::system_clock::now()});
  CHECK(a->content == b->content);
  CHECK(a->content != snapshot_of(100)->content);
}

TEST_CASE("a changed job changes its own part and no other") {
  const auto made_with = [](const std::string& destination) {
    config_builder builder(datasets, {});
    for (std::uint64_t i = 1; i <= 1'000; ++i) {
      auto x = job_of(i, "zones/z" + std::to_string(i));
      if (i == 500)
        x.destination_conf = secret{destination};
      builder.add(x, i);
    }
    return builder.finish({config_version{1}, {}, {}, ownership_epoch{1}, "weir", {}});
  };
  const auto a = made_with("file:///a");
  const auto b = made_with("file:///b");
  REQUIRE_EQ(a->parts.size(), 2 * forwarding_parts);
  std::size_t changed = 0;
  for (std::size_t i = 0; i < a->parts.size(); ++i)
    changed += a->parts[i].hash != b->parts[i].hash ? 1 : 0;
  CHECK_EQ(changed, 1u);
}

TEST_CASE("the table's half holds no secret, and a node that only forwards reads nothing else") {
  const auto made = snapshot_of(50);
  auto expected = expecting();
  expected.with_settings = false;
  const auto loaded = load(bytes_of_config(*made), expected);
  REQUIRE_MESSAGE(loaded.snapshot, loaded.text);
  CHECK_EQ(loaded.snapshot->jobs.size(), 0u);
  CHECK_EQ(loaded.snapshot->table.entry_count(), made->table.entry_count());
  CHECK_EQ(loaded.snapshot->table.entries(0).begin()->settings, no_settings);
}

TEST_CASE("CFG-01: a blank config is refused, whatever it is blank with") {
  for (const std::string& blank :
       {std::string{}, std::string(1, ' '), std::string("\n\n \t\r\n"), std::string(4'096, '\0')})
    CHECK_EQ(name_of(load(blank).reason), "blank");
}

TEST_CASE("CFG-01: a well-formed config that entitles nobody is refused") {
  config_builder builder(datasets, {});
  const auto empty = builder.finish({config_version{3}, {}, {}, ownership_epoch{1}, "weir", {}});
  const auto result = load(bytes_of_config(*empty));
  CHECK_EQ(name_of(result.reason), "zero_entries");
  CHECK_NE(result.text.find('3'), std::string::npos);

  config_builder all_off(datasets, {});
  auto x = job_of(5, "zones/a");
  REQUIRE_FALSE(x.enabled);
  REQUIRE(all_off.add(x, 1));
  CHECK_EQ(
      name_of(
          load(bytes_of_config(*all_off.finish({config_version{3}, {}, {}, ownership_epoch{1}, "weir", {}}))).reason),
      "zero_entries");
}

TEST_CASE("CFG-02: a config that ends before its end is refused, wherever it ends") {
  const auto bytes = bytes_of_config(*snapshot_of(40));
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  std::vector<std::size_t> cuts{1, 7, 8, 11, 12, 13, bytes.size() - 1};
  for (int i = 0; i < 200; ++i)
    cuts.push_back(1 + random() % (bytes.size() - 1));
  for (const auto cut : cuts) {
    const auto result = load(bytes.substr(0, cut));
    CHECK_MESSAGE(name_of(result.reason) == "truncated", cut << ": " << result.text);
  }
}

TEST_CASE("CFG-02: a config with one flipped bit is refused, wherever it is") {
  const auto bytes = bytes_of_config(*snapshot_of(20));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 8)));
    REQUIRE_MESSAGE(load(flipped).reason != config_refusal::none, at);
  }
  CHECK_NE(load(bytes + "x").reason, config_refusal::none);
  CHECK_EQ(load(bytes).reason, config_refusal::none);
}

TEST_CASE("a config of another cluster, an older version or a newer format is refused") {
  const auto bytes = bytes_of_config(*snapshot_of(20, 7));
  auto expected = expecting();
  expected.cluster = "other";
  CHECK_EQ(name_of(load(bytes, expected).reason), "foreign_cluster");
  expected = expecting();
  expected.in_force = config_version{7};
  const auto older = load(bytes, expected);
  CHECK_EQ(name_of(older.reason), "older_version");
  CHECK_NE(older.text.find("version 7"), std::string::npos);
  expected.in_force = config_version{6};
  CHECK_EQ(name_of(load(bytes, expected).reason), "none");
  CHECK_EQ(name_of(load(with_header(bytes, [](auto& x) { x.set_format(2); })).reason), "unknown_format");
  CHECK_EQ(name_of(load(with_header(bytes, [](auto& x) { x.set_version(0); })).reason), "older_version");
}

TEST_CASE("a config that uses a dataset this node does not know is refused") {
  const auto bytes = bytes_of_config(*snapshot_of(20));
  auto expected = expecting();
  expected.datasets.erase(expected.datasets.begin());
  CHECK_EQ(name_of(load(bytes, expected).reason), "unknown_dataset");
  expected = expecting();
  expected.datasets[0].scopes = scope_kind::zones;
  CHECK_EQ(name_of(load(bytes, expected).reason), "unknown_dataset");
  expected = expecting();
  std::swap(expected.datasets[0], expected.datasets[1]);
  CHECK_EQ(name_of(load(bytes, expected).reason), "none");
}

TEST_CASE("CFG-04: a config with more jobs than limits.buffers is refused") {
  const auto bytes = bytes_of_config(*snapshot_of(20));
  auto expected = expecting();
  expected.max_jobs = 19;
  CHECK_EQ(name_of(load(bytes, expected).reason), "too_many");
  expected.max_jobs = 20;
  CHECK_EQ(name_of(load(bytes, expected).reason), "none");
}

TEST_CASE("a config whose header and parts contradict each other is refused") {
  const auto bytes = bytes_of_config(*snapshot_of(20));
  CHECK_EQ(name_of(load(with_header(bytes, [](auto& x) { x.set_entries(x.entries() + 1); })).reason), "inconsistent");
  CHECK_EQ(name_of(load(with_header(bytes, [](auto& x) { x.set_jobs(x.jobs() - 1); })).reason), "inconsistent");
  CHECK_NE(load(with_header(bytes, [](auto& x) { x.mutable_parts()->RemoveLast(); })).reason, config_refusal::none);
  CHECK_NE(load(with_header(bytes, [](auto& x) { x.mutable_parts(3)->set_bytes(0xffff'ffff); })).reason,
           config_refusal::none);
  CHECK_EQ(name_of(load(with_header(bytes, [](auto& x) { x.clear_datasets(); })).reason), "inconsistent");
}

TEST_CASE("SEC-15: a refusal shows no secret") {
  auto bytes = bytes_of_config(*snapshot_of(20));
  const auto at = bytes.find("canary");
  REQUIRE_NE(at, std::string::npos);
  bytes[at] = 'x';
  const auto result = load(bytes);
  CHECK_EQ(name_of(result.reason), "wrong_checksum");
  CHECK_EQ(result.text.find("anary"), std::string::npos);
}

TEST_CASE("a job with a typical destination costs a snapshot less than 350 bytes") {
  constexpr std::uint64_t jobs = 100'000;
  config_builder builder(datasets, {});
  for (std::uint64_t i = 1; i <= jobs; ++i) {
    job x;
    x.id = job_id{i};
    x.dataset = "http_requests";
    const auto digits = std::to_string(i);
    x.scope = "zones/" + std::string(32 - digits.size(), '0') + digits;
    x.destination_conf = secret{"file:///var/tmp/weir/" + x.scope};
    REQUIRE(builder.add(x, i));
  }
  const auto made = builder.finish({config_version{1}, {}, {}, ownership_epoch{1}, "weir", {}});
  const auto bytes_a_job = made->memory_bytes() / jobs;
  MESSAGE(bytes_a_job << " bytes a job");
  CHECK_LT(bytes_a_job, 350u);
  CHECK_EQ(made->table.entry_count(), jobs);
}
