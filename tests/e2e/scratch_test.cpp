// A node for drills: guards can be switched off there, and nowhere else.

#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/running_node.hpp"

using weir::running_node;
using weir::wait_for;

namespace {

struct scratch_node {
  weir::temporary_directory place{"weir-scratch-test"};
  std::string directory = place / "scratch";

  weir::node_plan plan() const {
    weir::node_plan result;
    result.jobs = 1;
    result.destination = "file://" + directory + "/out/{id}";
    return result;
  }
  /// What `weir run` with these arguments says and ends with, without becoming ready.
  running_node::outcome refused(weir::node_plan what, std::vector<std::string> more) {
    running_node node{std::move(what)};
    more.insert(more.begin(), {"run", "--config", node.config_file()});
    return node.run(more);
  }
};

} // namespace

TEST_CASE_FIXTURE(scratch_node,
                  "OPS-01: guards are switched off on a scratch node only, which says UNSAFE everywhere") {
  running_node node{plan()};
  node.launch({}, {"--scratch", directory, "--unsafe-off=publisher_guards,admission"});
  REQUIRE(node.wait_until_ready());
  CHECK_NE(node.control("/readyz").body.find("UNSAFE"), std::string::npos);
  CHECK_EQ(node.metric("weir_unsafe"), 1);
  CHECK_NE(node.log().find("UNSAFE"), std::string::npos);
  const auto state = node.state();
  CHECK_EQ(state["unsafe"], true);
  CHECK_EQ(state["guards_off"], nlohmann::json({"publisher_guards", "admission"}));
  CHECK(std::filesystem::exists(directory + "/data/store"));
  CHECK_FALSE(std::filesystem::exists(node.data_dir()));
  // It works as any other does.
  CHECK_EQ(node.post("{\"ZoneID\":\"" + running_node::zones(1)[0] + "\"}\n").status, 200);
  CHECK(node.drained());
  CHECK(std::filesystem::exists(directory + "/out/1"));
  CHECK_EQ(node.stop(), 0);
}

TEST_CASE_FIXTURE(scratch_node, "without --scratch no guard can be switched off, and a guard has to be one") {
  const auto outside = refused(plan(), {"--unsafe-off=publisher_guards"});
  INFO(outside.text);
  CHECK_EQ(outside.exit_code, 2);
  CHECK_NE(outside.text.find("--scratch"), std::string::npos);
  const auto unknown = refused(plan(), {"--scratch", directory, "--unsafe-off=memory"});
  INFO(unknown.text);
  CHECK_EQ(unknown.exit_code, 2);
  CHECK_NE(unknown.text.find("receiver_guards"), std::string::npos);
}

TEST_CASE_FIXTURE(scratch_node, "a scratch node begins empty, on loopback, and pushes to its own directory only") {
  auto elsewhere = plan();
  elsewhere.destination = "file://" + (place / "elsewhere") + "/{id}";
  auto told = refused(elsewhere, {"--scratch", directory});
  INFO(told.text);
  CHECK_EQ(told.exit_code, 1);
  CHECK_NE(told.text.find("destination_conf"), std::string::npos);

  auto network = plan();
  network.destination = "http://127.0.0.1:9/{id}";
  told = refused(network, {"--scratch", directory});
  CHECK_EQ(told.exit_code, 1);
  CHECK_NE(told.text.find("a scratch node pushes to files"), std::string::npos);

  auto open = plan();
  open.settings["ingest.http"] = "allow_plaintext = true\n";
  running_node node{open};
  auto text = weir::read_file(node.config_file());
  const std::string loopback = "listen = \"127.0.0.1:" + std::to_string(node.ingest_port());
  REQUIRE_NE(text.find(loopback), std::string::npos);
  text.replace(text.find(loopback), loopback.size(), "listen = \"0.0.0.0:" + std::to_string(node.ingest_port()));
  weir::write_file(node.config_file(), text);
  told = node.run({"run", "--config", node.config_file(), "--scratch", directory});
  INFO(told.text);
  CHECK_EQ(told.exit_code, 1);
  CHECK_NE(told.text.find("ingest.http.listen"), std::string::npos);

  weir::write_file(directory + "/something", "of somebody");
  told = refused(plan(), {"--scratch", directory});
  CHECK_EQ(told.exit_code, 1);
  CHECK_NE(told.text.find("not empty"), std::string::npos);
}
