#include "tests/kill/restarts.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <doctest/doctest.h>

namespace weir {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::uint64_t to_number(const nlohmann::json& value) {
  return std::stoull(value.get<std::string>());
}

} // namespace

node_plan plan_of_small_segments() {
  node_plan plan;
  plan.jobs = 4;
  plan.job_options = R"("max_upload_records":400)";
  plan.settings["store"] = "segment_bytes = \"1MiB\"\ngroup_bytes = \"256KiB\"\n";
  plan.settings["limits"] = "memory = \"512MiB\"\nmax_event_bytes = \"256KiB\"\n";
  plan.settings["pusher"] =
      "retry_first = \"50ms\"\nretry_most = \"300ms\"\nbreaker_open = \"200ms\"\n"
      "probe_interval = \"1s\"\n";
  return plan;
}

restarts::restarts(node_plan plan, std::uint64_t seed) : node(plan), random(seed), jobs_(plan.jobs) {}

void restarts::send(double rate) {
  load_plan load;
  load.events = 0;
  load.seed = random() % 1'000'000 + 1;
  load.zones = 2 * jobs_;
  load.connections = 4;
  load.body_bytes = 10'000;
  load.rate = rate;
  sender_.emplace(node.send(load));
}

std::uint64_t restarts::receipt_bytes() const {
  std::error_code none_yet;
  const auto size = fs::file_size(node.receipts().back(), none_yet);
  return none_yet ? 0 : size;
}

std::size_t restarts::object_files() const {
  std::size_t count = 0;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(node.objects_dir(), error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error))
    ++count;
  return count;
}

bool restarts::let_pass(std::uint64_t bodies) {
  constexpr std::uint64_t bytes_of_a_receipt = 110;
  const auto enough = receipt_bytes() + bodies * bytes_of_a_receipt;
  wait_for([&] { return receipt_bytes() >= enough || !node.running() || !sender_->running(); });
  return receipt_bytes() >= enough;
}

bool restarts::let_push() {
  const auto before = object_files();
  return wait_for([&] { return object_files() != before; }, 10s);
}

void restarts::start() {
  longest_start = std::max(longest_start, node.start());
  ++starts;
  const auto state = node.state();
  INFO(node.log());
  REQUIRE(state.is_object());
  REQUIRE_EQ(state["set_aside_records"], "0");
}

void restarts::kill_in_recovery(const std::function<bool()>& disk_is_gone) {
  node.launch();
  // A start takes about 30 ms before it is ready; the node must not end by itself in that time, unless it has no disk.
  const auto ended = wait_for([&] { return !node.running(); }, std::chrono::milliseconds(draw(60)));
  INFO(node.log());
  if (ended)
    REQUIRE((disk_is_gone && disk_is_gone()));
  node.kill();
}

void restarts::end_sender() {
  if (!sender_)
    return;
  sender_->terminate();
  const auto code = sender_->wait(60s);
  INFO(node.log());
  REQUIRE_EQ(code, 0);
  sender_.reset();
}

void restarts::drain() {
  end_sender();
  const auto drained = node.drained();
  last_ledger_ = node.ledger();
  INFO(last_ledger_.dump());
  INFO(node.log());
  REQUIRE(drained);
}

void restarts::check_audit() {
  const auto verdict = node.audit();
  INFO(verdict.text);
  REQUIRE(verdict.report.is_object());
  CHECK_EQ(verdict.exit_code, 0);
  CHECK_EQ(verdict.number("receipts.missing"), 0);
  CHECK_EQ(verdict.number("gaps"), 0);
  CHECK_EQ(verdict.number("doubled_sequences"), 0);
  CHECK_EQ(verdict.number("doubled_events"), 0);
  CHECK_EQ(verdict.number("damaged_files"), 0);
  // What the sender knows, what the node says and what the files hold are the same.
  CHECK_EQ(verdict.number("receipts.expected") + events_beside, verdict.number("events"));
  const auto& totals = last_ledger_["totals"];
  CHECK_EQ(to_number(totals["delivered"]), verdict.number("events"));
  CHECK_EQ(to_number(totals["accepted"]), verdict.number("events"));
  CHECK_EQ(to_number(totals["received"]), to_number(totals["rejected"]) + to_number(totals["not_entitled"])
                                              + to_number(totals["offered"]) + to_number(totals["turned_back"]));
  std::printf("%u starts, the longest %lld ms; %llu events in %llu objects, none missing, none doubled\n", starts,
              static_cast<long long>(longest_start.count()), static_cast<unsigned long long>(verdict.number("events")),
              static_cast<unsigned long long>(verdict.number("files")));
}

void restarts::finish() {
  drain();
  CHECK_EQ(node.stop(), 0);
  check_audit();
}

withdrawn_objects::withdrawn_objects(const running_node& node) : path_(node.objects_dir()) {
  fs::rename(path_, path_ + ".away");
  // A link to nowhere: the directory cannot be made anew, and a destination that is not there may
  // come back.
  fs::create_symlink(path_ + ".nowhere", path_);
}

void withdrawn_objects::give_back() {
  if (!std::exchange(away_, false))
    return;
  fs::remove(path_);
  fs::rename(path_ + ".away", path_);
}

withdrawn_objects::~withdrawn_objects() {
  try {
    give_back();
  } catch (const fs::filesystem_error& error) {
    MESSAGE(error.what());
  }
}

} // namespace weir
