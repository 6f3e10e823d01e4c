#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/unit/config/config_fixture.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

const std::string least = "[node]\nname = \"n1\"\n";

std::string default_file() {
  std::ifstream file(WEIR_SOURCE_DIR "/config/weir.toml");
  REQUIRE_MESSAGE(file, "config/weir.toml");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// `# key = value` and `# [section]` become `key = value` and `[section]`: what stands in the file as
// a default or an example must be one. Prose has no `=` behind its first word.
std::string uncommented(const std::string& text) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    const auto word = line.substr(0, 2) == "# " ? line.substr(2, line.find(' ', 2) - 2) : std::string{};
    const auto is_key = !word.empty() && line.substr(2 + word.size(), 3) == " = ";
    const auto is_section = !word.empty() && word.front() == '[';
    result += (is_key || is_section ? line.substr(2) : line) + "\n";
  }
  return result;
}

std::string value_in_force(const loaded_node& x, std::string_view path) {
  for (const auto& limit : x.file.limits)
    if (limit.path == path)
      return limit.value;
  return "(not there)";
}

// `a.b.c` as TOML under the smallest config.
std::string with_value(const std::string& path, const std::string& value) {
  return "node.name = \"n1\"\n" + path + " = " + value + "\n";
}

} // namespace

TEST_CASE("a name is all that a node needs; everything else has a safe default") {
  fake_config_world world;
  const auto loaded = world.load(least);
  CHECK_NO_PROBLEM(loaded.file.problems);
  REQUIRE(loaded.snapshot);
  const auto& config = loaded.file.config;
  CHECK_EQ(config.http.listen.text(), "127.0.0.1:9400");
  CHECK_EQ(config.control.listen.text(), "127.0.0.1:9401");
  CHECK_EQ(config.data_dir, "/etc/weir/data");
  CHECK_EQ(config.limits.memory, 1ull << 30);
  CHECK_EQ(config.limits.buffers, 1'000'000u);
  CHECK_EQ(config.limits.buffer_creation_rate, 1'000u);
  CHECK_EQ(config.limits.store_max_bytes, 100ull << 30);
  CHECK_EQ(config.buffer.linger, 50ms);
  CHECK_EQ(config.threads.data, 4u);
  CHECK_FALSE(config.destinations.allow_insecure_http);
  CHECK(config.destinations.allow_private.empty());
  REQUIRE_EQ(config.datasets.size(), 1u);
  CHECK_EQ(config.datasets[0].scope_field, "ZoneID");
  CHECK_EQ(number(loaded.snapshot->version), 0u);
  CHECK_EQ(loaded.file.notes.size(), 2u); // no tokens, no jobs
}

TEST_CASE("the file that is delivered loads, and its comments tell the defaults") {
  fake_config_world world;
  const auto text = default_file();
  const auto plain = world.load(text);
  CHECK_NO_PROBLEM(plain.file.problems);
  CHECK_EQ(plain.file.config.name, "n1");

  world.files["/etc/weir/dev.token"] = {"0123456789abcdef0123456789abcdef\n", 0600};
  world.files["/etc/weir/cert.pem"] = {"certificate", 0644};
  world.files["/etc/weir/key.pem"] = {"key", 0600};
  world.files["/etc/weir/jobs.ndjson"] = {"", 0644};
  world.files["/etc/weir/generator.pem"] = {public_key_text(config_signer::make().public_key()), 0644};
  world.files["/etc/weir/generator-ca.pem"] = {"certificate", 0644};
  world.machine.cores = 2;
  world.machine.memory_bytes = 23ull << 30;
  auto everything = uncommented(text);
  CHECK_GT(everything.size(), 1'000u);
  const auto full = world.load(everything);
  CHECK_NO_PROBLEM(full.file.problems);
  CHECK_EQ(full.file.config.tokens.size(), 1u);
  CHECK_EQ(full.file.config.jobs.size(), 1u);
  REQUIRE(full.snapshot);
  CHECK_EQ(full.snapshot->table.entry_count(), 1u);
  // Each limit that exists stands in the file, with its default.
  const auto by_default = world.load(least);
  for (const auto& limit : by_default.file.limits) {
    CHECK_MESSAGE(value_in_force(full, limit.path) == limit.value, limit.path);
    for (const auto& there : full.file.limits)
      if (there.path == limit.path)
        CHECK_FALSE_MESSAGE(there.is_default, limit.path);
  }
}

TEST_CASE("CFG-07: no limit can be zero, negative, 'unlimited' or larger than the machine") {
  fake_config_world world;
  const auto limits = world.load(least + "[[tokens]]\nname=\"t\"\n").file.limits;
  REQUIRE_GT(limits.size(), 60u);
  for (const auto& limit : limits) {
    if (limit.path.find("tokens") != std::string::npos)
      continue;
    const auto key = limit.path.substr(limit.path.rfind('.') + 1);
    for (const char* value :
         {"0",   "-1",  "\"0B\"", "\"0ms\"",   "\"-1GiB\"",           "\"-1s\"",        "\"unlimited\"", "\"\"",
          "inf", "nan", "-inf",   "-0.5",      "9223372036854775807", "\"9000000TiB\"", "\"100000d\"",   "1e300",
          "[]",  "{}",  "true",   "1979-05-27"}) {
      const auto problems = world.problems_of(with_value(limit.path, value));
      CHECK_MESSAGE(!problems.empty(), limit.path << " = " << value);
      CHECK_MESSAGE(has_problem(problems, limit.path, "for example " + key + " = "), all_of(problems));
    }
    // Missing: the default is in force and says so.
    const auto loaded = world.load(least);
    CHECK_EQ(value_in_force(loaded, limit.path), limit.value);
  }
}

TEST_CASE("CFG-07: the limits of a token cannot be switched off either") {
  fake_config_world world;
  world.files["/etc/weir/t"] = {"0123456789abcdef", 0600};
  const std::string token = least + "[[tokens]]\nname=\"t\"\nsecret_file=\"t\"\nscopes=[\"*\"]\nrights=[\"ingest\"]\n";
  CHECK_NO_PROBLEM(world.problems_of(token));
  for (const char* key : {"events_per_second", "bytes_per_second", "requests_per_second"})
    for (const char* value : {"0", "-1", "\"0B\"", "\"unlimited\"", "9223372036854775807"})
      CHECK_PROBLEM(world.problems_of(token + key + " = " + value + "\n"), std::string{"tokens[0]."} + key,
                    "for example");
}

TEST_CASE("limits beyond this machine are refused with what it has") {
  fake_config_world world;
  CHECK_PROBLEM(world.problems_of(with_value("limits.memory", "\"9GiB\"")), "limits.memory", "the machine has 8GiB");
  CHECK_PROBLEM(world.problems_of(with_value("limits.store_max_bytes", "\"101GiB\"")), "limits.store_max_bytes",
                "the disk has 100GiB");
  CHECK_PROBLEM(world.problems_of(with_value("threads.data", "17")), "threads.data", "4 cores");
  CHECK_PROBLEM(world.problems_of(with_value("ingest.http.max_connections", "40000")), "ingest.http.max_connections",
                "65536 open files");
  CHECK_PROBLEM(world.problems_of(with_value("limits.job_bytes", "\"200GiB\"")), "limits.job_bytes", "whole store");
  CHECK_PROBLEM(world.problems_of(with_value("limits.buffers", "3000000")), "limits.buffers", "limits.memory is 1GiB");
}

TEST_CASE("a default that the machine cannot hold is lowered, and that is said") {
  fake_config_world world;
  world.machine = {512ull << 20, 1, 1'024};
  world.disk_bytes = 2ull << 30;
  const auto loaded = world.load(least);
  CHECK_NO_PROBLEM(loaded.file.problems);
  CHECK_EQ(loaded.file.config.limits.memory, 384ull << 20);
  CHECK_EQ(loaded.file.config.limits.job_bytes, 2ull << 30);
  CHECK_LE(loaded.file.config.limits.buffers * 512ull, loaded.file.config.limits.memory);
  CHECK_EQ(loaded.file.config.http.threads, 1u);
  CHECK_NE(loaded.file.notes.at(0).find("limits.memory"), std::string::npos);
  // And the smallest that is allowed is consistent in itself.
  CHECK_NO_PROBLEM(world.problems_of(with_value("limits.memory", "\"128MiB\"")));
}

TEST_CASE("connections, uploads, operators and the store have to fit into the open files together") {
  fake_config_world world;
  world.machine.open_files = 1'024;
  CHECK_NO_PROBLEM(world.problems_of(least));
  CHECK_PROBLEM(world.problems_of(least + "[ingest.http]\nmax_connections=512\n[pusher]\nslots=256\n"),
                "ingest.http.max_connections", "this process may have 1024; for example max_connections = ");
  CHECK_NO_PROBLEM(world.problems_of(least + "[ingest.http]\nmax_connections=512\n[pusher]\nslots=64\n"));
}

TEST_CASE("a machine that tells nothing about itself does not refuse the defaults") {
  fake_config_world world;
  world.machine = {0, 1, 0};
  world.disk_bytes = 0;
  CHECK_NO_PROBLEM(world.problems_of(least));
}

TEST_CASE("all problems are reported at once, each with its path") {
  fake_config_world world;
  const auto problems = world.problems_of(R"(
[node]
name = "N 1"
[limits]
memory = 5
max_event_bytes = "1XB"
[buffer]
linger = "soon"
[[tokens]]
scopes = ["zone/x"]
[datasets.HTTP]
[[accounts]]
id = "a"
zones = ["z", "z"]
[destinations]
allow_private = ["10.0.0.1/8"]
[jobs]
file = "nowhere"
[[jobs.job]]
id = 1
dataset = "nothing"
scope = "zones/a"
destination_conf = "file:///tmp/x"
[[jobs.job]]
id = "x"
[colour]
)");
  for (const char* path : {"node.name", "limits.memory", "limits.max_event_bytes", "buffer.linger", "tokens[0].name",
                           "tokens[0].secret_file", "tokens[0].scopes", "tokens[0].rights", "datasets.HTTP",
                           "accounts[0].zones", "destinations.allow_private", "jobs.file", "jobs.job[0]: dataset",
                           "jobs.job[1]: id", "jobs.job[1]: scope", "colour"})
    CHECK_PROBLEM(problems, path, "");
}

TEST_CASE("an unknown key is a problem wherever it stands, and the known ones are named") {
  fake_config_world world;
  world.files["/etc/weir/t"] = {"0123456789abcdef", 0600};
  for (const char* path :
       {"limit", "node.nam", "limits.memroy", "ingest.tcp", "ingest.http.lisen", "control.x", "buffer.x", "store.x",
        "pusher.x", "destinations.x", "threads.x", "shutdown.x", "log.x", "jobs.x", "datasets.http_requests.x"})
    CHECK_PROBLEM(world.problems_of(with_value(path, "1") + "datasets.http_requests.scope_field = \"Z\"\n"), path,
                  "is not a key of this section; known here");
  CHECK_PROBLEM(world.problems_of(least + "[[accounts]]\nid=\"a\"\nzone=[]\n"), "accounts[0].zone", "not a key");
  CHECK_PROBLEM(world.problems_of(least + "[[tokens]]\nsecret=\"x\"\n"), "tokens[0].secret", "not a key");
  CHECK_PROBLEM(world.problems_of(least + "[[jobs.job]]\ndestination=\"x\"\n"), "jobs.job[0]: destination",
                "not a key");
}

TEST_CASE("a section of the wrong shape is a problem and no crash") {
  fake_config_world world;
  for (const char* key : {"node", "limits", "ingest", "control", "tokens", "datasets", "accounts", "jobs",
                          "destinations", "buffer", "store", "pusher", "threads", "shutdown", "log"})
    for (const char* value : {"1", "\"x\"", "[1]", "true"})
      CHECK_PROBLEM(world.problems_of(std::string{key} + " = " + value + "\n"), key, "");
  CHECK_PROBLEM(world.problems_of("ingest.http = 1\nnode.name=\"n\""), "ingest.http", "a table is needed");
  CHECK_PROBLEM(world.problems_of("datasets.x = 1\nnode.name=\"n\""), "datasets.x", "table");
  CHECK_PROBLEM(world.problems_of("jobs.job = [1]\nnode.name=\"n\""), "jobs.job", "[[jobs.job]]");
}

TEST_CASE("CFG-01: a blank node config, or none, is refused") {
  fake_config_world world;
  for (const std::string& text : {std::string{}, std::string{"\n \t\r\n"}, std::string(4'096, '\0')})
    CHECK_PROBLEM(world.problems_of(text), "file", "blank");
  CHECK_PROBLEM(world.problems_of("# only a comment\n"), "node.name", "is missing; for example name = \"n1\"");
  CHECK_PROBLEM(load_node("/nowhere", world.world(), config_version{1}, {}).file.problems, "file", "No such file");
}

TEST_CASE("what is no TOML is refused with line and column") {
  fake_config_world world;
  CHECK_PROBLEM(world.problems_of("[node]\nname = \n"), "line 2", "is not TOML");
  CHECK_PROBLEM(world.problems_of("[node]\nname = \"a\"\nname = \"b\"\n"), "line 3", "is not TOML");
  CHECK_FALSE(world.problems_of("a = " + std::string(100'000, '[')).empty());
  CHECK_FALSE(world.problems_of("\xff\xfe").empty());
}

TEST_CASE("beyond loopback a listener needs TLS, or an explicit word that it needs none") {
  fake_config_world world;
  for (const char* section : {"ingest.http", "control"}) {
    const std::string path{section};
    for (const char* address : {"0.0.0.0:9500", "10.0.0.1:9500", "[::]:9500", "192.0.2.1:9500"})
      CHECK_PROBLEM(world.problems_of(with_value(path + ".listen", "\"" + std::string{address} + "\"")),
                    path + ".listen", "allow_plaintext");
    for (const char* address : {"127.0.0.1:9500", "127.1.2.3:9500", "[::1]:9500", "localhost:9500", "127.0.0.1:0"})
      CHECK_NO_PROBLEM(world.problems_of(with_value(path + ".listen", "\"" + std::string{address} + "\"")));
    CHECK_NO_PROBLEM(
        world.problems_of(with_value(path + ".listen", "\"0.0.0.0:9500\"") + path + ".allow_plaintext = true\n"));
    for (const char* bad :
         {"", "9400", ":9400", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "::1:9400",
          "[127.0.0.1]:9400", "example.com:9400", "127.1:9400", "127.0.0.1/8:9400", "127.0.0.1:-1"})
      CHECK_PROBLEM(world.problems_of(with_value(path + ".listen", "\"" + std::string{bad} + "\"")), path + ".listen",
                    "ADDRESS:PORT");
  }
  CHECK_PROBLEM(world.problems_of(with_value("control.listen", "\"127.0.0.1:9400\"")), "control.listen", "already");
}

TEST_CASE("TLS needs certificate and key, and a key that others cannot read") {
  fake_config_world world;
  world.files["/etc/weir/c.pem"] = {"c", 0644};
  world.files["/etc/weir/k.pem"] = {"k", 0600};
  const std::string text = least + "[ingest.http]\nlisten = \"0.0.0.0:9400\"\n";
  const std::string both = "tls_certificate_file = \"c.pem\"\ntls_key_file = \"k.pem\"\n";
  CHECK_NO_PROBLEM(world.problems_of(text + both));
  CHECK_PROBLEM(world.problems_of(text + "tls_certificate_file = \"c.pem\"\n"), "tls_key_file", "is missing");
  CHECK_PROBLEM(world.problems_of(text + "tls_certificate_file = \"x.pem\"\ntls_key_file = \"k.pem\"\n"),
                "tls_certificate_file", "/etc/weir/x.pem");
  world.files["/etc/weir/k.pem"].mode = 0644;
  CHECK_PROBLEM(world.problems_of(text + both), "tls_key_file", "chmod 600");
}

TEST_CASE("a token's secret comes from a file of its owner or from the environment") {
  fake_config_world world;
  const auto token = [](const std::string& lines) {
    return least + "[[tokens]]\nname=\"dev\"\nscopes=[\"*\"]\nrights=[\"ingest\",\"read\"]\n" + lines + "\n";
  };
  auto& file = world.files["/etc/weir/dev.token"];
  file = {"0123456789abcdef\r\n", 0600};
  const auto loaded = world.load(token("secret_file = \"dev.token\""));
  CHECK_NO_PROBLEM(loaded.file.problems);
  REQUIRE_EQ(loaded.file.config.tokens.size(), 1u);
  const auto& dev = loaded.file.config.tokens[0];
  CHECK_EQ(dev.secret.reveal(), "0123456789abcdef");
  CHECK(dev.any_scope);
  CHECK(dev.rights.ingest);
  CHECK(dev.rights.read);
  CHECK_FALSE(dev.rights.write);
  CHECK_FALSE(dev.rights.operate);

  for (const unsigned good : {0600u, 0400u, 0640u, 0440u}) {
    file.mode = good;
    CHECK_NO_PROBLEM(world.problems_of(token("secret_file = \"dev.token\"")));
  }
  for (const unsigned bad : {0644u, 0604u, 0660u, 0666u, 0620u, 0777u}) {
    file.mode = bad;
    CHECK_PROBLEM(world.problems_of(token("secret_file = \"dev.token\"")), "tokens[0].secret_file", "chmod 600");
  }
  file.mode = 0600;
  for (const std::string& bad :
       {std::string{}, std::string{"short"}, std::string(5'000, 'a'), std::string{"0123456789abcdef\nsecond line"},
        std::string{"0123456789 abcdef"}, std::string{"0123456789\0abcdef", 17}}) {
    file.text = bad;
    const auto problems = world.problems_of(token("secret_file = \"dev.token\""));
    CHECK_PROBLEM(problems, "tokens[0].secret_file", "the secret has");
    if (!bad.empty())
      CHECK_EQ(all_of(problems).find(bad.substr(0, 10)), std::string::npos);
  }
  CHECK_PROBLEM(world.problems_of(token("secret_file = \"none\"")), "secret_file", "cannot be read");
  CHECK_PROBLEM(world.problems_of(token("secret_env = \"WEIR_T\"")), "secret_env", "no variable");
  world.variables["WEIR_T"] = "fedcba9876543210";
  CHECK_NO_PROBLEM(world.problems_of(token("secret_env = \"WEIR_T\"")));
  CHECK_PROBLEM(world.problems_of(token("secret_env = \"WEIR_T\"\nsecret_file = \"dev.token\"")), "secret_file",
                "exactly one");
}

TEST_CASE("tokens differ in name and secret, and their scopes and rights are known words") {
  fake_config_world world;
  world.files["/etc/weir/t"] = {"0123456789abcdef", 0600};
  const std::string token = "[[tokens]]\nname=\"t\"\nsecret_file=\"t\"\n";
  const std::string rest = "scopes=[\"*\"]\nrights=[\"ingest\"]\n";
  const auto twice = world.problems_of(least + token + rest + token + rest);
  CHECK_PROBLEM(twice, "tokens[1].name", "another token");
  CHECK_PROBLEM(twice, "tokens[1].secret_file", "is the secret of token 't' too");
  CHECK_PROBLEM(world.problems_of(least + token + "scopes=[]\nrights=[]\n"), "tokens[0].scopes", "empty");
  CHECK_PROBLEM(world.problems_of(least + token + "scopes=[\"*\",\"zones/a\"]\nrights=[\"admin\"]\n"),
                "tokens[0].scopes", "stands alone");
  CHECK_PROBLEM(world.problems_of(least + token + "scopes=[\"*\"]\nrights=[\"admin\"]\n"), "tokens[0].rights",
                "'admin'");
}

TEST_CASE("limits that contradict each other are refused") {
  fake_config_world world;
  CHECK_PROBLEM(world.problems_of(with_value("limits.disk_refuse_appends_at", "0.85")), "limits.disk_refuse_appends_at",
                "must be above");
  CHECK_PROBLEM(world.problems_of(with_value("limits.memory_seal_at", "0.9")), "limits.memory_refuse_at",
                "must be above");
  CHECK_PROBLEM(world.problems_of(with_value("ingest.http.max_body_bytes", "\"512KiB\"")), "ingest.http.max_body_bytes",
                "limits.max_event_bytes");
  CHECK_PROBLEM(world.problems_of(with_value("store.segment_bytes", "\"1MiB\"")), "store.segment_bytes",
                "twice limits.max_event_bytes");
  CHECK_PROBLEM(world.problems_of(with_value("pusher.retry_first", "\"1min\"") + "pusher.retry_most = \"1s\"\n"),
                "pusher.retry_first", "retry_most");
  CHECK_PROBLEM(world.problems_of(with_value("pusher.slots", "2000")), "pusher.slots", "a quarter of limits.memory");
  CHECK_PROBLEM(world.problems_of(with_value("limits.window_age", "\"90min\"")), "limits.window_age", "hours");
}

TEST_CASE("a segment is as large as the store can address, and no larger") {
  fake_config_world world;
  CHECK_NO_PROBLEM(world.problems_of(with_value("store.segment_bytes", "\"128MiB\"")));
  CHECK_PROBLEM(world.problems_of(with_value("store.segment_bytes", "\"129MiB\"")), "store.segment_bytes", "128MiB");
}

TEST_CASE("a key that nothing acts on does not exist") {
  fake_config_world world;
  for (const char* key : {"threads.control", "threads.sealing", "pusher.window_bytes"})
    CHECK_PROBLEM(world.problems_of(with_value(key, "1")), key, "");
}

TEST_CASE("uploads at a time are as many as the smallest memory has room for") {
  fake_config_world world;
  CHECK_EQ(world.load(least).file.config.pusher.slots, 128u);
  CHECK_EQ(world.load(least).file.config.pusher.slots_per_tenant, 64u);
  const auto small = world.load(with_value("limits.memory", "\"128MiB\""));
  CHECK_NO_PROBLEM(small.file.problems);
  CHECK_EQ(small.file.config.pusher.slots, 64u);
}

TEST_CASE("declared jobs and those of the job file reach the snapshot, with their tenants") {
  fake_config_world world;
  world.files["/etc/weir/jobs.ndjson"] = {"{\"id\":2,\"dataset\":\"http_requests\",\"scope\":\"zones/" + zone_b
                                            + "\",\"destination_conf\":\"file:///tmp/b\"}\n\n{\"id\":3,\"dataset\":"
                                              "\"http_requests\",\"scope\":\"zones/"
                                            + zone_a + "\",\"destination_conf\":\"file:///tmp/c\",\"enabled\":false}",
                                          0644};
  const auto loaded = world.load(least + "[[accounts]]\nid=\"" + account_a + "\"\nzones=[\"" + zone_a
                                 + "\",\"idle\"]\n[jobs]\nfile=\"jobs.ndjson\"\n[[jobs.job]]\nid=1\ndataset=\"http_requests\""
                                   "\nscope=\"zones/"
                                 + zone_a + "\"\ndestination_conf=\"file:///tmp/a\"\nmax_upload_interval_seconds=1\n"
                                 + "output_options.field_names=[\"RayID\"]\n");
  CHECK_NO_PROBLEM(loaded.file.problems);
  REQUIRE(loaded.snapshot);
  const auto& x = *loaded.snapshot;
  CHECK_EQ(number(x.version), 1u);
  CHECK_EQ(x.jobs.size(), 3u);
  CHECK_EQ(x.table.entry_count(), 2u);
  const auto at = x.table.find(0, zone_a);
  REQUIRE_NE(at, not_entitled);
  const auto& entry = *x.table.entries(at).begin();
  CHECK_EQ(x.tenants.name(entry.tenant), "accounts/" + account_a);
  CHECK_EQ(x.tenants.name(x.table.entries(x.table.find(0, zone_b)).begin()->tenant), "zones/" + zone_b);
  const auto one = x.find_job(job_id{1});
  REQUIRE(one);
  CHECK_EQ(one->max_upload_interval, 1s);
  CHECK_EQ(*one->field_names, std::vector<std::string>{"RayID"});
  CHECK_EQ(one->max_upload_records, 100'000u);
  CHECK_EQ(one->max_buffer_bytes, 10ull << 30);
  CHECK_EQ(entry.destination_fingerprint, one->destination_fingerprint);
  CHECK_NE(number(one->revision), 0u);
  REQUIRE(x.find_job(job_id{3}));
  CHECK_FALSE(x.find_job(job_id{3})->enabled);
  CHECK_FALSE(x.find_job(job_id{4}));
  CHECK_EQ(x.tenants.name(*x.tenants.owner_of(scope_kind::zones, "idle")), "accounts/" + account_a);
  CHECK_FALSE(x.tenants.owner_of(scope_kind::zones, "nobody"));
  CHECK_EQ(x.tenants.find("accounts/" + account_a), entry.tenant);
  CHECK_FALSE(x.tenants.find("zones/idle"));
}

TEST_CASE("one bad line refuses the whole job file, and each is named") {
  fake_config_world world;
  const auto line = [](int id) {
    return "{\"id\":" + std::to_string(id)
           + ",\"dataset\":\"http_requests\",\"scope\":\"zones/a\",\"destination_conf\":\"file:///tmp/a\"}\n";
  };
  const std::string text = least + "[jobs]\nfile = \"jobs.ndjson\"\n";
  auto& file = world.files["/etc/weir/jobs.ndjson"];
  file.text = line(1) + "nonsense\n" + line(1) + line(2) + "{\"id\":0}\n" + line(3);
  const auto loaded = world.load(text);
  CHECK_FALSE(loaded.snapshot);
  CHECK_PROBLEM(loaded.file.problems, "/etc/weir/jobs.ndjson:2", "is not a JSON object");
  CHECK_PROBLEM(loaded.file.problems, "/etc/weir/jobs.ndjson:3: id", "another job already");
  CHECK_PROBLEM(loaded.file.problems, "/etc/weir/jobs.ndjson:5: scope", "missing");
  file.text = line(1) + std::string(1'000'000, ' ') + "\n" + line(2);
  CHECK_PROBLEM(world.problems_of(text), "/etc/weir/jobs.ndjson:2", "more than");
  file.text.clear();
  for (int i = 0; i < 1'000; ++i)
    file.text += "x\n";
  const auto many = world.problems_of(text);
  CHECK_EQ(many.count(), 1'000u);
  CHECK_EQ(many.kept().size(), 200u);
}

TEST_CASE("more jobs than limits.buffers are refused") {
  fake_config_world world;
  auto& file = world.files["/etc/weir/jobs.ndjson"];
  for (int i = 1; i <= 3; ++i)
    file.text += "{\"id\":" + std::to_string(i)
                 + ",\"dataset\":\"http_requests\",\"scope\":\"zones/a\",\"destination_conf\":\"file:///tmp/a\"}\n";
  CHECK_NO_PROBLEM(world.problems_of(with_value("limits.buffers", "3") + "jobs.file = \"jobs.ndjson\"\n"));
  CHECK_PROBLEM(world.problems_of(with_value("limits.buffers", "2") + "jobs.file = \"jobs.ndjson\"\n"), "jobs.ndjson:3",
                "limits.buffers (2)");
}

TEST_CASE("no job may write into the node's data, nor be two jobs") {
  fake_config_world world;
  const std::string one = "[[jobs.job]]\nid=1\ndataset=\"http_requests\"\nscope=\"zones/a\"\n";
  CHECK_PROBLEM(world.problems_of(least + one + "destination_conf=\"file:///etc/weir/data/store\"\n"),
                "jobs.job[0]: destination_conf", "own data");
  CHECK_PROBLEM(world.problems_of(least + one + "destination_conf=\"file:///tmp/a\"\n" + one
                                  + "destination_conf=\"file:///tmp/a\"\n"),
                "jobs.job[1]: id", "another job already");
}
