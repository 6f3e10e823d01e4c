#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/http_client.hpp"
#include "tests/support/process.hpp"

namespace weir {

/// What a node is to be. Defaults: jobs for the first `jobs` zones of the load generator, each into a
/// directory of its own, pushed every second.
struct node_plan {
  unsigned jobs = 4;
  /// Destination of every job, with `{zone}` and `{id}` filled in; empty: `file://OBJECTS/{id}`.
  std::string destination{};
  std::string job_options{};            ///< Members for each job's line, as in `"max_upload_records":100`.
  std::vector<std::string> job_lines{}; ///< In place of `jobs` of them: whole lines of the job file.
  /// Lines for sections of weir.toml: `settings["limits"] = "memory = \"256MiB\"\n"`.
  std::map<std::string, std::string> settings{};
  std::string more{};        ///< Text behind all sections, such as `[[tokens]]`.
  std::string data_dir{};    ///< Empty: below the node's own directory.
  std::string objects_dir{}; ///< The same.
  bool verbose = false;      ///< Prints where files are, for a look at a failed test.
};

/// Load for `running_node::send`.
struct load_plan {
  std::uint64_t events = 1000; ///< 0: until it is interrupted.
  std::uint64_t seed = 1;      ///< Another one for each load of a test: they are audited together.
  std::uint64_t start = 0;
  unsigned zones = 4, connections = 2;
  std::uint64_t body_bytes = 20'000; ///< About 30 events.
  double rate = 0;                   ///< Events a second; 0: as fast as they are taken.
  unsigned patience = 60;            ///< Seconds without any answer that end it.
  std::vector<std::string> more{};   ///< Further arguments of `weir generate`.
};

/// The real `weir`, with a config, a token and directories of its own. It can be killed and started again
/// on the same ports and directories any number of times. What cannot be done throws
/// `std::runtime_error` with the end of the node's log.
class running_node {
 public:
  /// Writes the config; starts nothing.
  explicit running_node(node_plan plan = {});
  ~running_node();
  running_node(const running_node&) = delete;
  running_node& operator=(const running_node&) = delete;

  /// Starts it and waits for 200 of /readyz. Returns how long that took.
  std::chrono::milliseconds start(std::chrono::milliseconds within = std::chrono::seconds(20));
  /// Starts it and does not wait. `front` is run in its place, followed by its command line: `strace -o …`. `more`
  /// goes behind `weir run --config …`.
  void launch(const std::vector<std::string>& front = {}, const std::vector<std::string>& more = {});
  bool wait_until_ready(std::chrono::milliseconds within = std::chrono::seconds(20));
  bool ready();
  bool running() { return node_ && node_->running(); }
  pid_t id() const { return node_ ? node_->id() : -1; }
  void kill(); ///< kill -9.
  void send_signal(int number);
  std::optional<int> wait(std::chrono::milliseconds within = std::chrono::seconds(40)); ///< For its end: exit code.
  std::optional<int> stop();                                                            ///< SIGTERM, and `wait`.

  // -- data in -------------------------------------------------------------------------------

  /// One body to /v1/ingest/http_requests. Status 0: no answer.
  http_answer post(const std::string& body, const http_client::header_list& headers = {},
                   const std::string& query = "");
  /// `weir generate` with receipts. The process lives on when the node is killed.
  process send(const load_plan& load);
  /// The same to its end; the exit code.
  int send_all(const load_plan& load, std::chrono::milliseconds within = std::chrono::seconds(60));
  const std::vector<std::string>& receipts() const { return receipts_; }
  std::uint64_t acknowledged_bodies() const; ///< Lines of all receipts.

  // -- what it says --------------------------------------------------------------------------

  nlohmann::json ledger(); ///< `/v1/ledger`, all jobs; null if it does not answer.
  nlohmann::json state();  ///< `/v1/node`.
  std::string metrics();
  /// The sum over all labels; `labels` must stand in the line if given, as in `reason="disk_full"`.
  double metric(const std::string& name, const std::string& labels = "");
  http_answer control(const std::string& path); ///< GET with the token.
  http_answer control_post(const std::string& path, const std::string& body = "");
  /// Whether the ledger says balanced and nothing is buffered, within that time.
  bool drained(std::chrono::milliseconds within = std::chrono::seconds(30));
  std::string log() const; ///< Of the present or last run.

  // -- what came of it -----------------------------------------------------------------------

  struct verdict {
    int exit_code = -1;
    nlohmann::json report;                              ///< Of `weir audit --json`.
    std::string text;                                   ///< For a failed check.
    std::uint64_t number(const std::string& key) const; ///< Of the report; of `receipts` as `receipts.missing`.
  };
  /// `weir audit` of the objects against all receipts so far and the job file.
  verdict audit();
  struct outcome {
    int exit_code = -1;
    std::string text;
  };
  /// Any `weir` command, to its end; both outputs.
  outcome run(const std::vector<std::string>& arguments);

  // -- its files, to be changed before a start or a reload -----------------------------------

  const std::string& directory() const { return directory_.path(); }
  const std::string& data_dir() const { return data_dir_; }
  const std::string& objects_dir() const { return objects_dir_; }
  std::string config_file() const { return directory_ / "weir.toml"; }
  std::string jobs_file() const { return directory_ / "jobs.ndjson"; }
  std::string token_file() const { return directory_ / "test.token"; }
  const std::string& token() const { return token_; }
  std::uint16_t ingest_port() const { return ingest_; }
  std::uint16_t control_port() const { return control_; }
  std::string ingest_url() const;
  /// Ids of the first zones of `weir generate`.
  static std::vector<std::string> zones(unsigned count);
  /// Writes config, token and jobs for another plan, on the same ports and directories.
  void write_config(const node_plan& plan);

 private:
  std::string complaint(const std::string& what) const;

  temporary_directory directory_{"weir-node"};
  std::string data_dir_, objects_dir_, token_;
  std::uint16_t ingest_, control_;
  std::optional<process> node_;
  unsigned runs_ = 0, loads_ = 0;
  std::vector<std::string> receipts_;
  std::unique_ptr<http_client> client_;
};

} // namespace weir
