#include <sys/stat.h>

#include <doctest/doctest.h>

#include "tests/support/running_node.hpp"

using weir::running_node;

namespace {

/// Two zones; a job for the first only.
struct with_node {
  weir::node_plan plan = [] {
    weir::node_plan result;
    result.jobs = 1;
    return result;
  }();
  running_node node{plan};
  std::vector<std::string> zones = running_node::zones(2);

  with_node() { node.start(); }

  void grant(const std::string& name) {
    const auto file = node.directory() + '/' + name + ".token";
    weir::write_file(file, "0123456789abcdef-" + name + '\n');
    ::chmod(file.c_str(), 0600);
    plan.more = "[[tokens]]\nname = \"" + name + "\"\nsecret_file = \"" + name
                + ".token\"\nscopes = [\"*\"]\nrights = [\"ingest\"]\n";
  }

  int status_of(const std::string& token, const std::string& zone, const std::string& expected = "") {
    weir::http_client::settings how;
    how.token = token;
    weir::http_client client(how);
    auto answer = client.post(node.ingest_url(), "{\"ZoneID\":\"" + zone + "\"}\n");
    INFO(answer.body);
    CHECK((expected.empty() || answer.body.find(expected) != std::string::npos));
    return answer.status;
  }

  bool logged(const std::string& event) {
    return weir::wait_for([&] { return node.log().find(event) != std::string::npos; });
  }
};

} // namespace

TEST_CASE_FIXTURE(with_node, "SIGHUP puts new jobs and tokens in force") {
  CHECK_EQ(status_of("0123456789abcdef-new", zones[1]), 401);
  CHECK_EQ(status_of(node.token(), zones[1], "\"not_entitled\":1"), 200);
  grant("new");
  plan.jobs = 2;
  node.write_config(plan);
  node.send_signal(SIGHUP);
  REQUIRE(logged("\"reloaded\""));
  CHECK_EQ(status_of("0123456789abcdef-new", zones[1], "\"accepted\":1"), 200);
  CHECK_EQ(status_of(node.token(), zones[0], "\"accepted\":1"), 200);
  CHECK(node.drained());
  CHECK_EQ(node.state()["config_version"], "2");
  CHECK_EQ(node.stop(), 0);
  CHECK_EQ(node.audit().number("events"), 2);
}

TEST_CASE_FIXTURE(with_node, "a config with a mistake is refused as a whole, and everything stays as it was") {
  grant("new");
  plan.jobs = 2;
  plan.settings["buffer"] = "linger = \"for ever\"\n";
  node.write_config(plan);
  node.send_signal(SIGHUP);
  REQUIRE(logged("\"reload-refused\""));
  CHECK_EQ(status_of("0123456789abcdef-new", zones[1]), 401);
  CHECK_EQ(status_of(node.token(), zones[1], "\"not_entitled\":1"), 200);
  CHECK_EQ(status_of(node.token(), zones[0], "\"accepted\":1"), 200);
  CHECK_EQ(node.state()["config_version"], "1");

  const auto told = node.run({"reload", "--connect", "127.0.0.1:" + std::to_string(node.control_port())});
  INFO(told.text);
  CHECK_EQ(told.exit_code, 1);
  CHECK_NE(told.text.find("buffer.linger"), std::string::npos);

  plan.settings.erase("buffer");
  node.write_config(plan);
  CHECK_EQ(node.run({"reload", "--connect", "127.0.0.1:" + std::to_string(node.control_port())}).exit_code, 0);
  CHECK_EQ(status_of("0123456789abcdef-new", zones[1], "\"accepted\":1"), 200);
  CHECK_EQ(node.stop(), 0);
}

TEST_CASE_FIXTURE(with_node, "a config without any job is refused, because a blank config is an error") {
  plan.job_lines = {""};
  node.write_config(plan);
  node.send_signal(SIGHUP);
  REQUIRE(logged("\"reload-refused\""));
  CHECK_EQ(status_of(node.token(), zones[0], "\"accepted\":1"), 200);
  CHECK_EQ(node.stop(), 0);
}
