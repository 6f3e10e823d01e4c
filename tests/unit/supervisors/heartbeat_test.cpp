#include "supervisors/heartbeat.hpp"

#include <doctest/doctest.h>

#include <ostream>
#include <string>
#include <vector>

#include "config/config_builder.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_disk.hpp"
#include "tests/support/fake_random.hpp"
#include "tests/support/gzip_text.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

/// A node of which one sees only the door.
class door : public ingest_gate {
 public:
  std::vector<std::string> bodies;
  std::string scope, token;
  bool open = true;

  std::optional<std::uint32_t> dataset(std::string_view name) const override {
    return name == heartbeat_dataset ? std::optional<std::uint32_t>{0} : std::nullopt;
  }
  std::optional<credit> reserve(const sender&, std::uint64_t bytes, ingest_refusal&) override {
    return open ? credit::acquire(memory_, bytes) : std::nullopt;
  }
  std::uint64_t in_flight_bytes() const override { return memory_->granted().bytes; }
  void accept(ingest_body body) override {
    bodies.emplace_back(body.bytes->view());
    scope = body.scope;
    token = body.from->token;
    body.respond({});
  }
  std::shared_ptr<const sender> authenticate(std::string_view) const override { return nullptr; }

 private:
  std::shared_ptr<credit_window> memory_ = std::make_shared<credit_window>(credit_window::limits{1 << 20, 100});
};

config_snapshot_ptr config(const std::string& destination, bool enabled = true) {
  config_builder builder({{std::string{heartbeat_dataset}, "Node", "", scope_kind::zones, {}}}, {});
  job x;
  x.id = job_id{9};
  x.dataset = heartbeat_dataset;
  x.scope = heartbeat_scope;
  x.destination_conf = secret{destination};
  x.enabled = enabled;
  REQUIRE(builder.add(x, 1));
  snapshot_identity identity;
  identity.version = config_version{1};
  return builder.finish(identity);
}

struct heart {
  std::shared_ptr<door> gate = std::make_shared<door>();
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<fake_disk> disk = std::make_shared<fake_disk>();
  metrics_registry metrics;
  config_snapshot_ptr snapshot = config("file:///beats");
  heartbeat beats{parts()};

  heartbeat_parts parts() {
    heartbeat_parts x;
    x.gate = gate;
    x.world.clock = clock;
    x.world.disk = disk;
    x.world.random = std::make_shared<fake_random>(1);
    x.node = "n1";
    x.snapshot = [this] { return snapshot; };
    x.metrics = &metrics;
    return x;
  }
  void deliver(const std::string& name, const std::string& lines) {
    REQUIRE_FALSE(disk->make_directories("/beats"));
    std::unique_ptr<disk_file> file;
    REQUIRE_FALSE(disk->open("/beats/" + name, disk::open_mode::create, file));
    REQUIRE_FALSE(file->write(0, {gzip(lines)}));
  }
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    disk->list("/beats", names);
    return names;
  }
  /// -1: the metric is not there.
  double metric(const std::string& name) {
    const auto text = "\n" + metrics.text();
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }
  void pass(std::chrono::seconds time) {
    for (auto left = time; left > 0s; left -= 1s) {
      clock->advance(1s);
      beats.tick();
    }
  }
};

} // namespace

TEST_CASE("a heartbeat that arrives makes its age small again, and its object goes") {
  heart x;
  x.beats.tick();
  REQUIRE(x.gate->bodies.size() == 1);
  CHECK(x.gate->scope == heartbeat_scope);
  CHECK(x.gate->token == heartbeat_sender);
  x.pass(10s);
  CHECK(x.gate->bodies.size() == 1); // one a minute
  CHECK(x.metric("weir_heartbeat_age_seconds") == doctest::Approx(10));
  x.deliver("20261122T120000Z_20261122T120001Z_0a1b2c3d.log.gz", x.gate->bodies[0]);
  x.pass(1s);
  CHECK(x.left().empty());
  CHECK(x.metric("weir_heartbeat_age_seconds") == doctest::Approx(11)); // since it began, not since it was seen
  CHECK(x.metric("weir_heartbeat_seconds") == doctest::Approx(11));
  x.pass(60s);
  REQUIRE(x.gate->bodies.size() == 2);
  x.deliver("next.log.gz", x.gate->bodies[1]);
  x.pass(1s);
  CHECK(x.metric("weir_heartbeat_age_seconds") < 15);
}

TEST_CASE("when nothing arrives, or something else, or the door is shut, the age grows") {
  heart x;
  x.beats.tick();
  auto changed = x.gate->bodies[0];
  changed[changed.size() - 4] = changed[changed.size() - 4] == '0' ? '1' : '0'; // in its nonce
  x.deliver("changed.log.gz", changed);
  x.pass(200s);
  CHECK(x.metric("weir_heartbeat_age_seconds") == doctest::Approx(200));
  CHECK(x.metric("weir_heartbeat_seconds") == -1);
  CHECK(x.gate->bodies.size() == 4);
  CHECK(x.left().empty()); // ours by its form, if of no beat that is known
  x.gate->open = false;
  x.pass(120s);
  CHECK(x.gate->bodies.size() == 4);
  CHECK(x.metric("weir_heartbeat_age_seconds") == doctest::Approx(320));
  // A late one still counts, as of when it began.
  x.deliver("late.log.gz", x.gate->bodies[3]);
  x.pass(1s);
  CHECK(x.metric("weir_heartbeat_age_seconds") == doctest::Approx(321 - 180));
}

TEST_CASE("an object that holds anything else is nobody's to remove") {
  heart x;
  x.beats.tick();
  x.deliver("customer.log.gz", "{\"ZoneID\":\"z\"}\n");
  x.deliver("mixed.log.gz", x.gate->bodies[0] + "{\"ZoneID\":\"z\"}\n");
  x.deliver("notes.txt", "x");
  std::unique_ptr<disk_file> file;
  REQUIRE_FALSE(x.disk->open("/beats/broken.log.gz", disk::open_mode::create, file));
  REQUIRE_FALSE(file->write(0, {"no gzip at all"}));
  x.pass(5s);
  CHECK(x.left().size() == 4);
  CHECK(x.metric("weir_heartbeat_seconds") == -1);
}

TEST_CASE("without a job for it, or with one that is off or goes elsewhere, nothing beats and nothing is late") {
  heart x;
  for (const auto& other : {config("https://logs.example.com/in"), config("file:///beats", false),
                            config("file:///beats/{DATE}"), std::make_shared<const config_snapshot>()}) {
    x.snapshot = other;
    x.pass(100s);
    CHECK(x.gate->bodies.empty());
    CHECK(x.metric("weir_heartbeat_age_seconds") == -1);
  }
  x.snapshot = config("file:///beats");
  x.pass(100s);
  CHECK(x.metric("weir_heartbeat_age_seconds") > 90);
  x.snapshot = config("file:///beats", false);
  x.pass(1s);
  CHECK(x.metric("weir_heartbeat_age_seconds") == 0);
}
