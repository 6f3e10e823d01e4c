#include "apps/generate_command.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/generate_url.hpp"

namespace weir {

namespace generate {

namespace {

constexpr std::size_t write_bytes = 1 << 20;

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// 1234567 as 1,234,567.
std::string grouped(std::uint64_t x) {
  auto digits = fmt::format("{}", x);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

secret read_token(const options& how) {
  if (!how.token_file.empty()) {
    std::ifstream in{how.token_file};
    if (!in)
      throw std::runtime_error(fmt::format("{}: cannot be read", how.token_file));
    std::string token{std::istreambuf_iterator<char>{in}, {}};
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r'))
      token.pop_back();
    return secret{std::move(token)};
  }
  const auto* token = std::getenv("WEIR_TOKEN");
  return secret{token ? token : ""};
}

int list_zones(const options& how, std::ostream& out) {
  for (std::uint64_t rank = 0; rank < how.list_zones; ++rank)
    out << zone_id(rank) << '\n';
  return out.flush() ? 0 : 1;
}

int write_events(const options& how, std::ostream& out, std::ostream& err) {
  const event_generator generator{how.plan.what};
  std::string buffer;
  buffer.reserve(write_bytes + (64 << 10));
  const auto end = how.plan.events == 0 ? ~std::uint64_t{0} : how.plan.start + how.plan.events;
  for (auto counter = how.plan.start; counter < end && out; ++counter) {
    generator.append(counter, buffer);
    if (buffer.size() >= write_bytes) {
      out.write(buffer.data(), static_cast<std::streamsize>(buffer.size()));
      buffer.clear();
    }
  }
  out.write(buffer.data(), static_cast<std::streamsize>(buffer.size()));
  if (out.flush())
    return 0;
  err << "weir generate: the output cannot be written\n";
  return 1;
}

int write_bodies(const options& how, std::ostream& out) {
  const auto source = make_body_source(how.plan);
  body_file_writer file{how.bodies_file, how.plan};
  ready_body body;
  std::uint64_t bodies = 0, bytes = 0;
  while (source->next(body)) {
    file.write(body);
    ++bodies;
    bytes += body.bytes.size();
  }
  file.close();
  out << fmt::format("{} events in {} bodies, {} bytes, in {}\n", grouped(how.plan.events), grouped(bodies),
                     grouped(bytes), how.bodies_file);
  return 0;
}

void print_summary(const post_result& result, const std::string& url, bool json, std::ostream& out) {
  const auto& c = result.counts;
  const auto seconds = result.took.count();
  const auto rate = seconds > 0 ? static_cast<double>(c.events) / seconds : 0;
  const auto cpu = cpu_seconds();
  if (json) {
    out << fmt::format(
        R"({{"all_acknowledged":{},"bodies":{},"events":{},"accepted":{},"not_entitled":{},"filtered":{},"shed":{},)"
        R"("rejected":{},"busy_answers":{},"broken":{},"sent_bytes":{},"seconds":{:.3f},"events_per_second":{:.0f},)"
        R"("cpu_seconds":{:.3f}}})"
        "\n",
        result.all_acknowledged, c.bodies, c.events, c.accepted, c.not_entitled, c.filtered, c.shed, c.rejected,
        c.busy_answers, c.broken, c.sent_bytes, seconds, rate, cpu);
    return;
  }
  out << fmt::format("acknowledged  {} events in {} bodies by {}\n", grouped(c.events), grouped(c.bodies), url);
  out << fmt::format("accepted      {} (once for each job that wants them)\n", grouped(c.accepted));
  out << fmt::format("not entitled  {}\n", grouped(c.not_entitled));
  if (c.filtered + c.shed + c.rejected > 0)
    out << fmt::format("filtered {}, shed {}, rejected {}\n", grouped(c.filtered), grouped(c.shed),
                       grouped(c.rejected));
  out << fmt::format("repeats       {} after a busy answer, {} after a broken connection\n", grouped(c.busy_answers),
                     grouped(c.broken));
  out << fmt::format("in {:.2f} s: {} events/s, {:.1f} MB/s; {:.2f} CPU s of the sender\n", seconds,
                     grouped(static_cast<std::uint64_t>(rate)),
                     seconds > 0 ? static_cast<double>(c.sent_bytes) / seconds / 1e6 : 0, cpu);
}

/// One line on the terminal, written over and over.
class progress_line {
 public:
  explicit progress_line(std::ostream& err) : err_(err), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~progress_line() {
    if (shown_)
      err_ << "\r\x1b[K" << std::flush;
  }

  void show(const post_counts& c, std::uint64_t wanted) {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> since = now - at_;
    if (!shown_ || since.count() <= 0)
      return;
    err_ << fmt::format("\r\x1b[K{}{} events acknowledged, {} events/s, {} repeats", grouped(c.events),
                        wanted == 0 ? "" : " of " + grouped(wanted),
                        grouped(static_cast<std::uint64_t>(static_cast<double>(c.events - events_) / since.count())),
                        grouped(c.busy_answers + c.broken))
         << std::flush;
    at_ = now;
    events_ = c.events;
  }

 private:
  std::ostream& err_;
  bool shown_;
  std::chrono::steady_clock::time_point at_ = std::chrono::steady_clock::now();
  std::uint64_t events_ = 0;
};

int post(options how, std::ostream& out, std::ostream& err) {
  const auto url = parse_ingest_url(how.url);
  how.post.url = how.url;
  how.post.token = read_token(how);
  if (!how.post.token.empty() && !url.tls && !url.is_loopback() && !how.allow_insecure_http)
    throw std::invalid_argument("a token would cross the network in clear; use https:// or --allow-insecure-http");
  if (how.post.run.empty())
    how.post.run = fmt::format("{:08x}", std::random_device{}());
  const auto source = how.replay_file.empty() ? make_body_source(how.plan) : open_body_file(how.replay_file);
  std::unique_ptr<receipt_writer> receipts;
  if (!how.receipts_file.empty()) {
    receipts = std::make_unique<receipt_writer>(how.receipts_file, source->plan().what);
    how.post.on_acknowledged = [&](const acknowledged_body& body) { receipts->write(body); };
  }
  post_result result;
  {
    progress_line progress{err};
    result = post_bodies(*source, how.post, [&](const post_counts& c) { progress.show(c, source->plan().events); });
  }
  print_summary(result, how.url, how.json, out);
  if (result.all_acknowledged)
    return 0;
  err << fmt::format("weir generate: {}\n", result.error);
  return 1;
}

} // namespace

int run(options how, std::ostream& out, std::ostream& err) {
  try {
    const auto targets = !how.url.empty() + how.to_stdout + !how.bodies_file.empty() + (how.list_zones > 0);
    if (targets != 1)
      throw std::invalid_argument("choose one of --url, --stdout, --bodies and --list-zones");
    if (how.url.empty() && (!how.receipts_file.empty() || !how.replay_file.empty()))
      throw std::invalid_argument("--receipts and --replay need --url");
    if (how.until_interrupted && how.list_zones == 0 && !how.bodies_file.empty())
      throw std::invalid_argument("a file of bodies needs an end: --events");
    if (how.until_interrupted)
      how.plan.events = 0;
    else if (how.plan.events == 0)
      throw std::invalid_argument("--events must be at least 1");
    if (how.list_zones > 0)
      return list_zones(how, out);
    if (how.to_stdout)
      return write_events(how, out, err);
    return how.bodies_file.empty() ? post(std::move(how), out, err) : write_bodies(how, out);
  } catch (const std::invalid_argument& problem) {
    err << "weir generate: " << problem.what() << '\n';
    return 2;
  } catch (const std::exception& problem) {
    err << "weir generate: " << problem.what() << '\n';
    return 1;
  }
}

} // namespace generate

void add_generate_command(CLI::App& app, std::function<int()>& run) {
  auto how = std::make_shared<generate::options>();
  how->plan.events = 1'000'000;
  auto* command = app.add_subcommand("generate", "Makes web request events, and sends them until each is acknowledged");

  auto* where = command->add_option_group("Where to");
  where->add_option("--url", how->url, "post to http[s]://HOST:PORT/v1/ingest/http_requests");
  where->add_flag("--stdout", how->to_stdout, "write NDJSON to the standard output");
  where->add_option("--bodies", how->bodies_file, "write ready request bodies to FILE, for --replay")
      ->type_name("FILE");
  where->add_option("--list-zones", how->list_zones, "print the ids of the first N zones, one a line")->type_name("N");
  where->require_option(1);

  command->add_option("--events", how->plan.events, "how many")->capture_default_str();
  command->add_flag("--until-interrupted", how->until_interrupted, "no end but SIGINT or SIGTERM")
      ->excludes("--events");
  command
      ->add_option("--seed", how->plan.what.seed,
                   "same seed, same events; use another one for events that are audited together")
      ->capture_default_str();
  command->add_option("--start", how->plan.start, "counter of the first event")->capture_default_str();
  command->add_option("--zones", how->plan.what.zones, "how many zones the events are of")->capture_default_str();
  command->add_option("--zipf", how->plan.what.zipf, "zone r gets a share of 1/r^S; 0 = all alike")
      ->type_name("S")
      ->capture_default_str();
  command->add_option("--body-bytes", how->plan.body_bytes, "raw bytes of a body, at most")->capture_default_str();
  command->add_flag("--gzip", how->plan.gzip, "send or store bodies packed");
  command->add_option("--replay", how->replay_file, "post the bodies of FILE instead of new ones")
      ->type_name("FILE")
      ->excludes("--events")
      ->excludes("--gzip");
  command
      ->add_option("--rate", how->post.events_per_second,
                   "events a second over all connections; 0 = as fast as they are taken")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--connections", how->post.connections, "each has one body under way")->capture_default_str();
  command->add_option("--receipts", how->receipts_file, "append what was acknowledged to FILE, for `weir audit`")
      ->type_name("FILE");
  command->add_option("--token-file", how->token_file, "bearer token; else from WEIR_TOKEN")->type_name("FILE");
  command->add_option("--ca-file", how->post.ca_file, "certificates to trust for https, PEM")->type_name("FILE");
  command->add_flag("--allow-insecure-http", how->allow_insecure_http, "send a token over http:// to another machine");
  command->add_option_function<unsigned>(
      "--patience", [how](unsigned s) { how->post.patience = std::chrono::seconds{s}; },
      "give up after so many seconds without any acknowledgement (60)");
  command->add_flag("--json", how->json, "summary as one line of JSON");
  command->footer(
      "Each body has an Idempotency-Key and is repeated under it, with backoff, until the node answers 200.\n"
      "\n"
      "Examples:\n"
      "  weir generate --stdout --events 10 --zones 3\n"
      "  weir generate --url http://127.0.0.1:9400/v1/ingest/http_requests --token-file dev.token \\\n"
      "                --events 1000000 --zones 200 --zipf 1 --connections 8 --receipts sent.receipts\n"
      "  weir generate --list-zones 50 > zones.txt          # the zones to make jobs for\n"
      "  weir generate --bodies load.bodies --events 5000000 && \\\n"
      "    weir generate --url http://127.0.0.1:9400/v1/ingest/http_requests --replay load.bodies\n"
      "  weir generate --url http://127.0.0.1:9400/v1/ingest/http_requests --until-interrupted --rate 20000\n"
      "\n"
      "Exit codes: 0 everything was written or acknowledged, 1 it was not, 2 the command line is wrong.");
  command->callback([how, &run] { run = [how] { return generate::run(*how, std::cout, std::cerr); }; });
}

} // namespace weir
