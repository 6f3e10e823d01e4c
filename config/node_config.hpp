#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_snapshot.hpp"
#include "config/destination.hpp"
#include "config/forwarding_guards.hpp"
#include "config/forwarding_signature.hpp"
#include "config/job.hpp"
#include "config/problem.hpp"
#include "messages/secret.hpp"

/// The node's own config, `weir.toml`. docs/configuration.md is the page for operators; every number
/// here is a default with its source. Sizes are bytes unless the name says otherwise.
namespace weir {

/// `host:port` of a listener.
struct listen_address {
  std::string host;       ///< An address, IPv6 without brackets.
  std::uint16_t port = 0; ///< 0 lets the system choose; for tests.
  bool loopback = true;

  std::string text() const;
};

struct tls_files {
  std::string certificate; ///< PEM chain.
  std::string key;         ///< PEM; not readable by others.

  bool on() const noexcept { return !certificate.empty(); }
};

/// `[ingest.http]`
struct http_ingest_config {
  listen_address listen{"127.0.0.1", 9400, true};
  tls_files tls;
  bool allow_plaintext = false;                         ///< Without it, beyond loopback only TLS.
  std::uint32_t threads = 1;                            ///< Own I/O threads; default half the cores, at least 1.
  std::uint32_t max_connections = 512;                  ///< Each may hold a body; `in_flight_bytes` bounds them all.
  std::uint32_t max_connections_per_address = 128;      ///< A quarter: one host cannot take them all.
  std::uint64_t max_body_bytes = 16ull << 20;           ///< Raw, after decompression; 16 of the largest events.
  std::uint32_t max_compression_ratio = 100;            ///< Raw to compressed; real logs reach 30.
  std::uint64_t max_header_bytes = 16ull << 10;         ///< Of one request; what common servers take.
  std::uint32_t max_json_depth = 64;                    ///< Far beyond any log; bounds the parser.
  std::chrono::milliseconds header_timeout{10'000};     ///< For the whole header (slow senders).
  std::chrono::milliseconds body_timeout{300'000};      ///< For the whole body: the largest at 56 KiB/s.
  std::chrono::milliseconds write_timeout{10'000};      ///< For an answer.
  std::chrono::milliseconds idle_timeout{60'000};       ///< Between requests of a connection.
  std::uint64_t min_body_bytes_per_second = 4ull << 10; ///< Below it over 10 s, the connection ends.
};

/// `[control]`
struct control_config {
  listen_address listen{"127.0.0.1", 9401, true};
  tls_files tls;
  bool allow_plaintext = false;
  std::uint32_t threads = 1;          ///< Apart from all data threads.
  std::uint32_t max_connections = 64; ///< Operators, probes and one scraper; not customers.
};

struct token_rights {
  bool ingest = false, read = false, write = false, operate = false;
};

/// `[[tokens]]`: a bearer token.
struct token_config {
  std::string name;                ///< For logs and audit; unique.
  weir::secret secret;             ///< From `secret_file` or `secret_env`; at least 16 bytes.
  bool any_scope = false;          ///< `scopes = ["*"]`
  std::vector<std::string> scopes; ///< `zones/<id>`, `accounts/<id>` (with all its zones).
  token_rights rights;
  std::uint64_t events_per_second = 2'000'000; ///< Twice what a two-core node takes: a backstop.
  std::uint64_t bytes_per_second = 1ull << 30; ///< Raw; the same.
  std::uint64_t requests_per_second = 10'000;
};

/// `[[accounts]]`: an account owns zones. A zone in none is its own tenant.
struct account_config {
  std::string id;
  std::vector<std::string> zones;
};

/// `[limits]`
struct limits_config {
  std::uint64_t memory = 1ull << 30;             ///< RSS of the process; at most the machine's.
  std::uint64_t max_event_bytes = 1ull << 20;    ///< A line beyond it is no log but an attack or a mistake.
  std::uint32_t buffers = 1'000'000;             ///< What `memory` holds, measured: docs/configuration.md.
  std::uint32_t buffer_creation_rate = 1'000;    ///< Per second; a storm of new jobs is paced, not absorbed.
  std::uint64_t open_block_bytes = 256ull << 20; ///< Raw bytes in open blocks of all shards; a quarter of `memory`.
  std::uint64_t in_flight_bytes = 256ull << 20;  ///< Bodies between socket and disk; a quarter of `memory`.
  double tenant_share = 0.25;                    ///< Most of the in-flight bytes one tenant may hold.
  double tenant_buffers_share = 0.25;            ///< Of `buffers` and of their creation rate, while short of them.
  double memory_seal_at = 0.70;                  ///< Of `memory`: seal early.
  double memory_shrink_at = 0.85;                ///< Shrink credit.
  double memory_refuse_at = 0.95;                ///< Refuse ingest.
  std::uint64_t store_max_bytes = 0;             ///< Of the store; 0 only as "not set": the file system.
  std::uint64_t job_bytes = 10ull << 30;         ///< Quota of a job without one; at most the store.
  double disk_alert_at = 0.80;                   ///< Of store or file system in use, as the two below.
  double disk_refuse_new_buffers_at = 0.90;
  double disk_refuse_appends_at = 0.95;
  std::uint64_t window_batches = 1'000'000; ///< Deduplication window, bodies.
  std::chrono::hours window_age{24};        ///< The same, time.
};

/// `[buffer]`
struct buffer_config {
  std::chrono::milliseconds linger{50};     ///< Most that an acknowledgement waits for company.
  std::uint64_t block_bytes = 256ull << 10; ///< Raw; measured: larger members pack no better.
  std::chrono::seconds max_age{72 * 3600};  ///< Older undelivered events expire, after alerts.
  std::chrono::seconds passivate_after{60}; ///< An idle job's actor ends after this.
};

/// `[store]`, as `store::settings`.
struct store_config {
  std::uint64_t segment_bytes = 64ull << 20;
  std::uint64_t group_bytes = 1ull << 20;
  std::uint32_t spare_segments = 3;
  std::uint32_t free_reserve = 2;
};

/// `[pusher]`
struct pusher_config {
  std::uint32_t slots = 128;                ///< Uploads at a time; each may hold two windows of 256 KiB.
  std::uint32_t slots_per_tenant = 64;      ///< Half: the only tenant of a node still fills its uplink.
  std::uint32_t slots_per_destination = 32; ///< Bound of the limit that is found by trying.
  double healthy_share = 0.25;              ///< Slots kept for destinations that work.
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds no_progress{5'000};        ///< Then the destination has one probe slot.
  std::chrono::milliseconds stall_timeout{30'000};     ///< Then the attempt has failed.
  std::chrono::milliseconds upload_timeout{300'000};   ///< Of one attempt.
  std::chrono::milliseconds retry_first{1'000};        ///< Doubles with full jitter …
  std::chrono::milliseconds retry_most{300'000};       ///< … up to this.
  double retry_budget = 0.10;                          ///< Of first tries.
  std::chrono::milliseconds probe_interval{30'000};    ///< A destination gets one try this often at least.
  std::uint32_t breaker_failures = 5;                  ///< In a row; then the breaker opens.
  std::chrono::milliseconds breaker_open{30'000};      ///< Longest pause between its probes.
  job_defaults object;                                 ///< Limits of a job that names none.
  std::chrono::seconds dead_letter_age{7 * 24 * 3600}; ///< A week for its owner to look.
};

/// `[destinations]`
struct destinations_config {
  std::vector<ip_network> allow_private; ///< Networks beyond the public ones; default none.
  bool allow_insecure_http = false;      ///< `http://`
  std::vector<std::string> file_roots;   ///< See `destination_rules`.
  /// Of a scratch node: the only directory that anything may be pushed to. Empty: this is none. No key sets it.
  std::string scratch_root;
};

/// `[log]`
struct log_config {
  enum class level_name : std::uint8_t { debug, info, warn, error };
  enum class format_name : std::uint8_t { automatic, human, json };
  level_name level = level_name::info;
  format_name format = format_name::automatic; ///< Human on a terminal, else JSON.
};

/// `[threads]`; 0 never: the defaults follow the machine.
struct thread_config {
  std::uint32_t data = 2;   ///< Workers of the data actor system; default one a core.
  std::uint32_t shards = 2; ///< Shard actors; default one a core.
};

/// `[config]`: how the publisher works.
struct publication_config {
  std::chrono::milliseconds interval{60'000};        ///< The config is made anew this often, changed or not.
  std::chrono::milliseconds hold{24 * 3'600'000};    ///< A vanished job stays on hold for so long.
  std::uint64_t hold_bytes = 1ull << 30;             ///< Most a job on hold keeps; at most the store.
  std::chrono::milliseconds approval_age{1'800'000}; ///< An approval that is not used by then is void.
  std::chrono::milliseconds stale_after{600'000};    ///< A config older than this is an alert; ten intervals.
};

/// `[forwarding]`: where the forwarding config comes from.
struct forwarding_source_config {
  enum class source_kind : std::uint8_t {
    jobs, ///< The jobs of this node: declared and made over the API.
    file, ///< A file that another program writes.
    https ///< A URL that another program serves.
  };
  source_kind source = source_kind::jobs;
  std::string file;             ///< `file:PATH`, joined.
  std::string url;              ///< `https://…`
  std::string authorities_file; ///< PEM of who vouches for `url` instead of the system's; empty: the system's.
  std::chrono::milliseconds poll{10'000}; ///< How often file or URL is looked at.
  /// PEM of the generator's Ed25519 key. If given, a config without its signature is refused, and so the
  /// JSON form, which has none. Loaded and checked with the node's config.
  std::string public_key_file;
  std::optional<config_public_key> public_key; ///< What is in it.
  std::uint64_t max_bytes = 256ull << 20;      ///< A longer document is not read to its end; a million jobs.
};

/// `[rollout]`: how long each stage is watched, and what stops it.
struct rollout_config {
  std::chrono::milliseconds canary{30'000};       ///< One forwarder, or the least that there is.
  std::chrono::milliseconds tenth{30'000};        ///< A tenth of them.
  std::chrono::milliseconds all{30'000};          ///< All, before the config counts as good.
  std::chrono::milliseconds answer_within{5'000}; ///< A role that has not answered an offer by then has failed.
  /// The share of a stage's events that may be shed, or not entitled, beyond the share of the stage before.
  double max_shed_rise = 0.05;
  double max_not_entitled_rise = 0.10;
  double max_delivered_fall = 0.50; ///< The delivered rate may fall by this share of the stage before.
  std::uint64_t min_events = 1'000; ///< Fewer events in a stage say nothing about its health.
};

/// `[drills]`: which drills run by themselves.
struct drills_config {
  std::vector<std::string> schedule{"blank-config"}; ///< Names; may be empty.
  std::chrono::milliseconds every{24 * 3'600'000};   ///< Each of them this often.
};

/// `[heartbeat]`: the node's own job, which proves the whole way.
struct heartbeat_config {
  bool enabled = true;
  std::chrono::milliseconds every{60'000};
};

/// One of `[[jobs.job]]`, as it is written: `load_declared_jobs` checks it.
struct declared_job {
  std::string path; ///< `jobs.job[3]`, for problems.
  weir::job settings;
};

struct node_config {
  std::string name;              ///< `[a-z0-9-]{1,63}`; the only key without a default.
  std::string cluster = "weir";  ///< The forwarding config of another cluster is refused.
  std::string data_dir = "data"; ///< Absolute, or relative to the file's folder and joined here.
  http_ingest_config http;
  control_config control;
  std::vector<token_config> tokens;
  std::vector<dataset_config> datasets; ///< By name. Without any: `http_requests` as the job API has it.
  std::vector<account_config> accounts;
  limits_config limits;
  buffer_config buffer;
  store_config store;
  pusher_config pusher;
  destinations_config destinations;
  std::chrono::milliseconds drain_deadline{30'000}; ///< `[shutdown] drain`; what is left stays on disk.
  log_config log;
  thread_config threads;
  publication_config publication; ///< `[config]`
  forwarding_source_config forwarding;
  guard_settings guards;
  rollout_config rollout;
  drills_config drills;
  heartbeat_config heartbeat;
  std::string job_file; ///< `[jobs] file`, joined; empty: none.
  std::vector<declared_job> jobs;
};

/// What the machine has; limits beyond it are refused.
struct machine_facts {
  std::uint64_t memory_bytes = 0; ///< Of machine or cgroup, whichever is less.
  std::uint32_t cores = 1;
  std::uint64_t open_files = 0; ///< Hard limit of this process.
};

struct file_facts {
  std::uint64_t bytes = 0;
  unsigned mode = 0; ///< Permission bits.
  bool regular = false;
};

/// What reading a config needs from outside; `apps/` makes the real one.
struct config_world {
  machine_facts machine;
  /// Opens a file for reading, or says why not.
  std::function<std::unique_ptr<std::istream>(const std::string& path, file_facts& facts, std::string& error)> open;
  std::function<std::optional<std::string>(const std::string& name)> variable; ///< Of the environment.
  /// Size of the file system that holds, or will hold, the path; 0 if that cannot be told.
  std::function<std::uint64_t(const std::string& path)> disk_bytes;
  /// The absolute path of a scratch node's own directory; empty: the node is none. Its data goes to `data` in it
  /// whatever the config says, its listeners must be on loopback, and it pushes to other files in it and nowhere else.
  std::string scratch_root{};
};

/// One limit as it is in force, for `weir check` and the log at start-up.
struct limit_in_force {
  std::string path;
  std::string value;
  bool is_default = true;
};

struct loaded_node_config {
  node_config config; ///< Only meaningful without problems.
  problem_list problems;
  std::vector<std::string> notes; ///< Not wrong, but worth a line: no tokens, a default that was lowered.
  std::vector<limit_in_force> limits;

  bool ok() const noexcept { return problems.empty(); }
};

/// The file and the jobs it names. Problems of both are in `file.problems`.
struct loaded_node {
  loaded_node_config file;
  config_snapshot_ptr snapshot; ///< Null if there is any problem, anywhere.
};

/// Everything a node starts from, checked: the file, what it refers to, the declared jobs and the job
/// file. `weir run`, `weir check` and `weir reload` all call this, so that they come to one verdict.
loaded_node load_node(const std::string& path, const config_world& world, config_version version,
                      std::chrono::system_clock::time_point now);

/// Reads the file and everything it refers to, but checks no job.
loaded_node_config load_node_config(const std::string& path, const config_world& world);
/// The same for a text, with relative paths relative to `folder`.
loaded_node_config parse_node_config(std::string_view text, const std::string& folder, const config_world& world);

/// How many jobs this node reads at most, whatever it admits: one for each KiB of `limits.memory`. More than
/// `limits.buffers`, so that a config that is too large for the node is held and shown instead of unreadable.
std::uint64_t readable_jobs(const limits_config& limits) noexcept;

/// What destinations of declared jobs, or of the job API, must keep to.
destination_rules rules_for_destinations(const node_config& config, job_origin origin);

/// The declared jobs and those of the job file, which is streamed. Null, with problems, if anything is
/// wrong with any job: one bad line refuses the whole file. Without enabled jobs the snapshot is empty and has
/// version 0, because a config without entries is never published.
config_snapshot_ptr load_declared_jobs(const node_config& config, const config_world& world, config_version version,
                                       std::chrono::system_clock::time_point now, problem_list& problems);

} // namespace weir
