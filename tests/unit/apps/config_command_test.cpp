#include "apps/config_command.hpp"

#include <map>
#include <sstream>

#include <doctest/doctest.h>

namespace weir {

namespace {

const std::string hash(64, 'a');

/// A node that answers what the test says, and remembers what it was asked.
struct told_node {
  std::map<std::string, control_answer> answers;
  std::vector<std::string> asked;
  std::ostringstream out, err;

  int run(const std::string& action, std::vector<std::string> words = {}, bool json = false,
          const std::string& why = {}) {
    config_command_options how;
    how.action = action;
    how.words = std::move(words);
    how.json = json;
    how.why = why;
    return do_config_command(
        how,
        [this](const std::string& method, const std::string& path, const std::string& body) {
          asked.push_back(method + " " + path + (body.empty() ? "" : " " + body));
          const auto found = answers.find(path.substr(0, path.find('?')));
          return found == answers.end() ? control_answer{0, "no node"} : found->second;
        },
        out, err);
  }
};

bool contains(const std::ostringstream& text, const std::string& part) {
  return text.str().find(part) != std::string::npos;
}

const std::string state = R"({"version":"7","entries":"90","jobs":"100","jobs_on_hold":"1","on_hold":["42"],
  "age_seconds":"700","stale":true,"rollout_stage":"canary","rolling_out":"8","rollout_text":"watches stage canary",
  "frozen":{"who":"piet","why":"repair","since":"2024-11-14T11:43:00Z"},
  "source":{"ok":false,"reason":"blank","text":"The file is blank.","failures":"3"},
  "roles":[{"role":"receiver","index":0,"version":"8"},{"role":"forwarder","index":1,"version":"7"}],
  "held":[{"hash":")" + hash
                          + R"(","reasons":["shrunk","moved"],"text":"much","since":"2024-11-14T11:00:00Z",
    "changes":{"in_all":{"removed":"60"},"by_tenant":[{"tenant":"zones/q","removed":"60"}],"tenants":"70"}}],
  "a_field_of_a_newer_node":1})";

} // namespace

TEST_CASE("weir config list shows what is in force, what is not well, what is held and the versions") {
  told_node node;
  node.answers["/v1/config"] = {200, state};
  node.answers["/v1/config/versions"] = {
      200, R"({"versions":[{"version":"7","parent":"6","why":"change","who":"reload","outcome":"complete"}]})"};
  CHECK_EQ(node.run("list"), 0);
  for (const char* part : {"version 7 in force", "STALE", "jobs 42", "version 8 is rolling out, stage canary",
                           "FROZEN by piet", "SOURCE REFUSED (blank), 3 times", "receiver 0 works by version 8",
                           "shrunk, moved", "60 removed", "OUTCOME", "reload"})
    CHECK_MESSAGE(contains(node.out, part), part);
  CHECK(contains(node.out, "weir config approve " + hash));
  CHECK_FALSE(contains(node.out, "forwarder 1"));
}

TEST_CASE("weir config show names who would be concerned, tenant by tenant") {
  told_node node;
  node.answers["/v1/config"] = {200, state};
  CHECK_EQ(node.run("show", {hash}), 0);
  CHECK(contains(node.out, "zones/q"));
  CHECK(contains(node.out, "and 69 tenants more"));
  CHECK_EQ(node.run("show", {std::string(64, 'b')}), 1);
  CHECK(contains(node.err, "no change with this hash"));
}

TEST_CASE("Orders are sent with what they need and the operator's own words") {
  told_node node;
  for (const char* action : {"approve", "reject", "rollback", "freeze", "unfreeze", "publish"})
    node.answers[std::string{"/v1/config/"} + action] = {200, R"({"done":true,"text":"Good.","version":"9"})"};
  CHECK_EQ(node.run("approve", {hash}, false, "say \"yes\""), 0);
  CHECK_EQ(node.asked.back(), "POST /v1/config/approve {\"hash\":\"" + hash + "\",\"why\":\"say \\\"yes\\\"\"}");
  CHECK_EQ(node.run("rollback", {"41"}), 0);
  CHECK_EQ(node.asked.back(), "POST /v1/config/rollback {\"version\":\"41\"}");
  CHECK_EQ(node.run("freeze", {}, false, "repair"), 0);
  CHECK_EQ(node.asked.back(), "POST /v1/config/freeze {\"why\":\"repair\"}");
  CHECK_EQ(node.run("unfreeze"), 0);
  CHECK_EQ(node.run("publish"), 0);
  CHECK(contains(node.out, "Good."));
}

TEST_CASE("What was not done is told on standard error, with exit code 1") {
  told_node node;
  node.answers["/v1/config/approve"] = {409, R"({"done":false,"error":"not_held","text":"Nothing like it."})"};
  node.answers["/v1/config/freeze"] = {401, R"({"error":"unauthorized","message":"send a token"})"};
  CHECK_EQ(node.run("approve", {hash}), 1);
  CHECK(contains(node.err, "not_held: Nothing like it."));
  CHECK_EQ(node.run("freeze"), 1);
  CHECK(contains(node.err, "unauthorized"));
  CHECK_EQ(node.run("unfreeze"), 1); // No node there.
  CHECK(contains(node.err, "no node"));
  CHECK_EQ(node.run("list"), 1);
  CHECK(node.out.str().empty());
}

TEST_CASE("Arguments that make no sense are not sent, with exit code 2") {
  told_node node;
  CHECK_EQ(node.run("approve", {"abc"}), 2);
  CHECK_EQ(node.run("rollback", {"-1"}), 2);
  CHECK_EQ(node.run("rollback", {hash}), 2);
  CHECK_EQ(node.run("diff", {"3"}), 2);
  CHECK_EQ(node.run("show", {"x"}), 2);
  CHECK(node.asked.empty());
}

TEST_CASE("weir config --json prints the node's answer as it is") {
  told_node node;
  node.answers["/v1/config"] = {200, state};
  CHECK_EQ(node.run("list", {}, true), 0);
  CHECK_EQ(node.out.str(), state);
}

} // namespace weir
