#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "config/node_config_reading.hpp"
#include "config/scope.hpp"
#include "config/text_values.hpp"

namespace weir {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kib = 1ull << 10;
constexpr std::uint64_t mib = 1ull << 20;
constexpr std::size_t least_secret_bytes = 16;  // 128 bits if it is random hex of 32; shorter ones are guessed
constexpr std::size_t most_secret_bytes = 4096; // what fits into a header
constexpr std::uint64_t files_of_store = 256;   // the store keeps no more segments open
constexpr std::uint64_t files_of_process = 64;  // listeners, event loops, libraries, logs, databases

// Bits for others than owner and group; and writing by the group.
constexpr unsigned foreign_mode_bits = 0027;

void read_listen(toml_section& section, listen_address& into) {
  std::string text = into.text();
  section.text("listen", text);
  const auto bad = [&] {
    section.problem("listen", fmt::format("'{}' is not ADDRESS:PORT; for example \"{}\" or \"[::1]:9400\"",
                                          shown_key(text), into.text()));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos)
    return bad();
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5
      || !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; })
      || std::stoul(port) > 65535)
    return bad();
  if (host == "localhost")
    host = "127.0.0.1";
  const auto bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  const auto network = ip_network::parse(host); // strict: no short or octal forms
  if (!network || host.find('/') != std::string::npos || (host.find(':') != std::string::npos) != bracketed)
    return bad();
  into.host = host;
  into.port = static_cast<std::uint16_t>(std::stoul(port));
  into.loopback = special_use_of(network->base) == std::string_view{"loopback"};
}

// A file beside the config; its permissions where it holds a secret. Empty, with a problem, if there is none.
std::unique_ptr<std::istream> open_checked(const reading& in, toml_section& section, std::string_view key,
                                           const std::string& path, bool is_secret) {
  file_facts facts;
  std::string error;
  auto stream = in.world.open(path, facts, error);
  if (!stream) {
    section.problem(key, fmt::format("'{}' cannot be read: {}", path, error));
    return nullptr;
  }
  if (!facts.regular) {
    section.problem(key, fmt::format("'{}' is not a file", path));
    return nullptr;
  }
  if (is_secret && (facts.mode & foreign_mode_bits) != 0) {
    section.problem(key, fmt::format("'{}' has mode {:03o}: others may read it or its group may change it; run chmod "
                                     "600 {}",
                                     path, facts.mode & 0777, path));
    return nullptr;
  }
  return stream;
}

void read_tls(const reading& in, toml_section& section, tls_files& into, const listen_address& listen,
              bool& allow_plaintext) {
  section.text("tls_certificate_file", into.certificate);
  section.text("tls_key_file", into.key);
  section.flag("allow_plaintext", allow_plaintext);
  if (into.certificate.empty() != into.key.empty())
    section.problem(into.key.empty() ? "tls_key_file" : "tls_certificate_file",
                    "is missing; TLS needs both tls_certificate_file and tls_key_file");
  for (auto [key, path, is_secret] :
       {std::tuple{"tls_certificate_file", &into.certificate, false}, std::tuple{"tls_key_file", &into.key, true}}) {
    if (path->empty())
      continue;
    *path = joined_path(in.folder, *path);
    open_checked(in, section, key, *path, is_secret);
  }
  if (!listen.loopback && !into.on() && !allow_plaintext)
    section.problem("listen", fmt::format("{} is reachable from other machines without TLS, so tokens and logs would "
                                          "travel in the clear; set tls_certificate_file and tls_key_file, listen on "
                                          "127.0.0.1, or set allow_plaintext = true",
                                          listen.text()));
}

void read_secret(const reading& in, toml_section& section, token_config& token) {
  std::string file;
  std::string variable;
  section.text("secret_file", file);
  section.text("secret_env", variable);
  if (file.empty() == variable.empty())
    return section.problem("secret_file",
                           "exactly one of secret_file and secret_env is needed; for example "
                           "secret_file = \"dev.token\"");
  const auto key = file.empty() ? "secret_env" : "secret_file";
  std::string text;
  if (!file.empty()) {
    const auto stream = open_checked(in, section, key, joined_path(in.folder, file), true);
    if (!stream)
      return;
    text.resize(most_secret_bytes + 2);
    stream->read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(stream->gcount()));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
      text.pop_back();
  } else {
    const auto value = in.world.variable(variable);
    if (!value)
      return section.problem(key, fmt::format("the environment has no variable '{}'", shown_key(variable)));
    text = *value;
  }
  if (text.size() < least_secret_bytes || text.size() > most_secret_bytes)
    return section.problem(key, fmt::format("the secret has {} bytes; {} to {} are allowed; for example the output of "
                                            "openssl rand -hex 32",
                                            text.size(), least_secret_bytes, most_secret_bytes));
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
    return section.problem(key, "the secret has a space or another character that a bearer token cannot have");
  token.secret = weir::secret{std::move(text)};
}

void read_token_scopes(toml_section& section, token_config& token) {
  std::vector<std::string> scopes;
  section.texts("scopes", scopes, "[\"zones/ID\"] or [\"*\"]");
  if (scopes.empty())
    return section.problem("scopes", "is missing or empty; for example scopes = [\"zones/ID\"], or [\"*\"] for all");
  for (auto& scope : scopes) {
    if (scope == "*")
      token.any_scope = true;
    else if (parse_scope(scope))
      token.scopes.push_back(std::move(scope));
    else
      section.problem("scopes", fmt::format("'{}' is neither \"*\" nor zones/ID nor accounts/ID", shown_key(scope)));
  }
  if (token.any_scope && scopes.size() > 1)
    section.problem("scopes", "\"*\" means all scopes, so it stands alone");
}

void read_rights(toml_section& section, token_config& token) {
  std::vector<std::string> rights;
  section.texts("rights", rights, "[\"ingest\"]");
  if (rights.empty())
    return section.problem("rights", "is missing or empty; for example rights = [\"ingest\"]");
  for (const auto& right : rights) {
    if (right == "ingest")
      token.rights.ingest = true;
    else if (right == "read")
      token.rights.read = true;
    else if (right == "write")
      token.rights.write = true;
    else if (right == "operate")
      token.rights.operate = true;
    else
      section.problem("rights", fmt::format("'{}' is not one of ingest, read, write, operate", shown_key(right)));
  }
}

} // namespace

std::string listen_address::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

void read_ingest(const reading& in, toml_section& root) {
  auto ingest = root.section("ingest");
  auto section = ingest.section("http");
  auto& http = in.config().http;
  const auto memory = std::max<std::uint64_t>(in.config().limits.memory, 128 * mib);
  const auto of_memory = fmt::format("limits.memory is {}", size_text(memory));
  const auto files = in.world.machine.open_files;
  const auto cores = std::max(1u, in.world.machine.cores);
  read_listen(section, http.listen);
  read_tls(in, section, http.tls, http.listen, http.allow_plaintext);
  http.threads = std::max(1u, cores / 2);
  section.count("threads", http.threads, {1, std::max(4u, 4 * cores), fmt::format("four for each of {} cores", cores)});
  const auto most_connections = files == 0 ? 1'000'000 : std::max<std::uint64_t>(1, files / 2);
  // By default half of what it may be: uploads, operators and the store need theirs.
  http.max_connections = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(http.max_connections, std::max<std::uint64_t>(1, most_connections / 2)));
  section.count("max_connections", http.max_connections,
                {1, most_connections, files == 0 ? std::string{} : fmt::format("half of {} open files", files)});
  const std::uint64_t connections = std::max(1u, http.max_connections);
  http.max_connections_per_address = section.has("max_connections")
                                         ? static_cast<std::uint32_t>(std::max<std::uint64_t>(1, connections / 4))
                                         : std::min(http.max_connections_per_address, http.max_connections);
  section.count("max_connections_per_address", http.max_connections_per_address,
                {1, connections, fmt::format("max_connections is {}", connections)});
  section.size("max_body_bytes", http.max_body_bytes, {kib, memory / 8, of_memory});
  if (in.config().limits.max_event_bytes > http.max_body_bytes)
    section.problem("max_body_bytes",
                    fmt::format("is {}, less than one event may have (limits.max_event_bytes is {})",
                                size_text(http.max_body_bytes), size_text(in.config().limits.max_event_bytes)));
  section.count("max_compression_ratio", http.max_compression_ratio, {2, 1'000, "more is no log"});
  section.size("max_header_bytes", http.max_header_bytes, {kib, 256 * kib});
  section.count("max_json_depth", http.max_json_depth, {2, 1'000});
  section.duration("header_timeout", http.header_timeout, {100ms, 5min});
  section.duration("body_timeout", http.body_timeout, {100ms, 1h});
  section.duration("write_timeout", http.write_timeout, {100ms, 10min});
  section.duration("idle_timeout", http.idle_timeout, {100ms, 1h});
  section.size("min_body_bytes_per_second", http.min_body_bytes_per_second, {1, mib});
  section.finish();
  ingest.finish();
}

void read_control(const reading& in, toml_section& root) {
  auto section = root.section("control");
  auto& control = in.config().control;
  const auto cores = std::max(1u, in.world.machine.cores);
  const auto files = in.world.machine.open_files;
  read_listen(section, control.listen);
  read_tls(in, section, control.tls, control.listen, control.allow_plaintext);
  section.count("threads", control.threads,
                {1, std::max(4u, 4 * cores), fmt::format("four for each of {} cores", cores)});
  section.count("max_connections", control.max_connections,
                {4, files == 0 ? 10'000 : std::clamp<std::uint64_t>(files / 8, 4, 10'000)});
  const auto& http = in.config().http;
  if (control.listen.port != 0 && control.listen.port == http.listen.port && control.listen.host == http.listen.host)
    section.problem("listen", fmt::format("{} is the address of ingest.http already", control.listen.text()));
  section.finish();
}

void check_open_files(const reading& in) {
  const auto& config = in.config();
  const std::uint64_t files = in.world.machine.open_files;
  if (files == 0)
    return;
  // What operators need must be left when senders and destinations have all they may have.
  const std::uint64_t of_pusher = 2ull * config.pusher.slots; // each upload, and a connection kept for the next
  const std::uint64_t needed =
      config.http.max_connections + of_pusher + config.control.max_connections + files_of_store + files_of_process;
  if (needed <= files)
    return;
  in.result.problems.add(
      "ingest.http.max_connections",
      fmt::format(
          "{} connections with {} for {} uploads, {} of control and {} of the store and the process are {} open "
          "files; this process may have {}; for example max_connections = {}, or a higher LimitNOFILE",
          config.http.max_connections, of_pusher, config.pusher.slots, config.control.max_connections,
          files_of_store + files_of_process, needed, files,
          files > needed - config.http.max_connections ? files - (needed - config.http.max_connections) : 1));
}

void read_tokens(const reading& in, toml_section& root) {
  std::set<std::string> names;
  root.each_of_array("tokens", [&](toml_section& section) {
    token_config token;
    section.text("name", token.name);
    if (token.name.empty() || token.name.size() > 63 || shown_key(token.name) != token.name)
      section.problem("name",
                      "is missing or not a name of 1 to 63 letters, digits, '-', '_' or '.'; for example "
                      "name = \"edge-1\"");
    else if (!names.insert(token.name).second)
      section.problem("name", fmt::format("'{}' is the name of another token already", token.name));
    read_secret(in, section, token);
    read_token_scopes(section, token);
    read_rights(section, token);
    section.count("events_per_second", token.events_per_second, {1, 100'000'000});
    section.size("bytes_per_second", token.bytes_per_second, {kib, 1ull << 40});
    section.count("requests_per_second", token.requests_per_second, {1, 10'000'000});
    for (const auto& other : in.config().tokens)
      if (!token.secret.empty() && other.secret.equals(token.secret.reveal()))
        section.problem("secret_file",
                        fmt::format("is the secret of token '{}' too; each token needs its own", other.name));
    in.config().tokens.push_back(std::move(token));
  });
  if (in.config().tokens.empty())
    in.result.notes.push_back("there is no [[tokens]]: nobody can send events or give orders");
}

} // namespace weir
