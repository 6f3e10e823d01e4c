#include <atomic>
#include <map>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>

#include "tests/kill/system_calls.hpp"
#include "tests/support/running_node.hpp"

using weir::running_node;

namespace {

constexpr unsigned jobs = 4;
constexpr std::uint64_t events_each = 25;

bool can_trace() {
  try {
    return weir::run_program({"strace", {"-V"}}) == 0;
  } catch (const std::exception&) {
    return false;
  }
}

/// Lines on which the 200 of each job's bodies began, in their order. Each job has a connection of its
/// own here, and its zone stands in the request line.
std::map<unsigned, std::vector<std::size_t>> answers_by_job(const std::vector<weir::system_call>& calls) {
  std::map<std::string, unsigned> job_of_socket;
  std::map<unsigned, std::vector<std::size_t>> answers;
  const auto zones = running_node::zones(jobs);
  for (const auto& call : calls) {
    if (call.name.rfind("recv", 0) == 0 || call.name.rfind("read", 0) == 0) {
      for (unsigned i = 0; i < jobs; ++i)
        if (call.text.find("?zone=" + zones[i]) != std::string::npos)
          job_of_socket[call.target] = i + 1;
    } else if (call.text.find("\"HTTP/1.1 200 ") != std::string::npos && job_of_socket.count(call.target) > 0) {
      answers[job_of_socket[call.target]].push_back(call.begin);
    }
  }
  return answers;
}

struct place {
  std::string file;
  std::uint64_t offset;
};

/// Where the store has the events of each job, by sequence, as `weir store verify --records` prints it.
std::map<std::pair<unsigned, std::uint64_t>, place> places_of_events(const std::string& text) {
  std::map<std::string, std::string> files; // by segment number
  std::map<std::pair<unsigned, std::uint64_t>, place> places;
  std::vector<std::string> records;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string first, word, number;
    words >> first >> word >> number;
    if (word == "segment")
      files["" + number] = first;
    else if (word == "block")
      records.push_back(line);
  }
  for (const auto& line : records) {
    std::istringstream words(line);
    std::string where, kind, generation, range, word;
    unsigned job = 0;
    words >> where >> kind >> word >> job >> generation >> range;
    const auto plus = where.find('+');
    const place at{files[where.substr(0, plus)], std::stoull(where.substr(plus + 1))};
    const auto first = std::stoull(range), last = std::stoull(range.substr(range.find("..") + 2));
    for (auto sequence = first; sequence <= last; ++sequence)
      places[{job, sequence}] = at;
  }
  return places;
}

} // namespace

TEST_CASE("the fdatasync that covers an event returns before its 200 is written") {
  if (!can_trace()) {
    MESSAGE("skipped: `strace -V` fails here");
    return;
  }
  weir::node_plan plan;
  plan.jobs = jobs;
  plan.job_options = R"("max_upload_interval_seconds":300)";
  running_node node(plan);
  const auto trace = node.directory() + "/trace";
  // -D: the node is this test's child, and the tracer stands aside.
  node.launch({"strace", "-D", "-f", "-y", "-s", "200", "-o", trace, "-e",
               "trace=fdatasync,fsync,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,read,readv,recvfrom,"
               "recvmsg"});
  REQUIRE(node.wait_until_ready());
  std::atomic<std::uint64_t> acknowledged{0};
  std::vector<std::thread> senders;
  for (const auto& zone : running_node::zones(jobs))
    senders.emplace_back([&, zone] {
      weir::http_client::settings how;
      how.token = node.token();
      weir::http_client client(how);
      for (std::uint64_t i = 0; i < events_each; ++i)
        acknowledged += client
                            .post(node.ingest_url() + "?zone=" + zone,
                                  "{\"ZoneID\":\"" + zone + "\",\"n\":" + std::to_string(i) + "}\n")
                            .status
                        == 200;
    });
  for (auto& sender : senders)
    sender.join();
  node.kill();
  REQUIRE_EQ(acknowledged, jobs * events_each);
  REQUIRE(weir::wait_for([&] { return weir::read_file(trace).find("killed by SIGKILL") != std::string::npos; }));

  const auto calls = weir::read_trace(weir::read_file(trace));
  const auto answers = answers_by_job(calls);
  const auto verified = node.run({"store", "verify", node.data_dir() + "/store", "--records"});
  INFO(verified.text);
  CHECK_EQ(verified.exit_code, 0);
  const auto places = places_of_events(verified.text);
  REQUIRE_EQ(places.size(), jobs * events_each);
  REQUIRE_EQ(answers.size(), jobs);
  for (const auto& [job, lines] : answers) {
    REQUIRE_EQ(lines.size(), events_each);
    for (std::uint64_t i = 0; i < lines.size(); ++i) {
      const auto& at = places.at({job, i + 1});
      CHECK_EQ(weir::judge_acknowledgement(calls, {at.file, at.offset, lines[i]}), "");
    }
  }
}

TEST_CASE("an answer before the sync, or after a sync that does not cover its event, is found") {
  const auto judge = [](const std::string& trace) {
    const auto calls = weir::read_trace(trace);
    weir::acknowledged_event event{"segment-00000.log", 120, 0};
    for (const auto& call : calls)
      if (call.name == "sendto")
        event.answered = call.begin;
    return weir::judge_acknowledgement(calls, event);
  };
  const std::string write = "7 pwritev(9</d/segment-00000.log>, [{iov_base=\"x, 1) = 5\", iov_len=64}], 1, 100) = 64\n";
  const std::string other = "7 pwritev(9</d/segment-00000.log>, [{iov_base=\"y\", iov_len=9}], 1, 164) = 9\n";
  const std::string sync = "7 fdatasync(9</d/segment-00000.log>) = 0\n";
  const std::string answer = "8 sendto(5<socket:[1]>, \"HTTP/1.1 200 OK\", 15, MSG_NOSIGNAL, NULL, 0) = 15\n";
  const std::string begin = "7 fdatasync(9</d/segment-00000.log> <unfinished ...>\n";
  const std::string end = "7 <... fdatasync resumed>)              = 0\n";

  CHECK_EQ(judge(write + sync + answer), "");
  CHECK_EQ(judge(write + begin + end + answer), "");
  CHECK_NE(judge(write + answer + sync), "");
  CHECK_NE(judge(write + begin + answer + end), "");
  CHECK_NE(judge(sync + write + answer), "");
  CHECK_NE(judge(other + sync + answer), "");
  CHECK_NE(judge(write + "7 fdatasync(9</d/segment-00001.log>) = 0\n" + answer), "");
  CHECK_NE(judge(write + "7 fdatasync(9</d/segment-00000.log>) = -1 EIO (Input/output error)\n" + answer), "");
}
