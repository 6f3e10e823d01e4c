#include "config/forwarding_document.hpp"

#include <algorithm>
#include <istream>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>
#include <simdjson.h>

#include "config/config_builder.hpp"
#include "config/forwarding_bytes.hpp"
#include "config/job.hpp"
#include "config/json_scanner.hpp"

namespace weir {

namespace {

using traits = std::streambuf::traits_type;

constexpr std::uint64_t document_format = 1;
constexpr std::size_t max_scalar_bytes = 4u << 10;
constexpr std::size_t max_account_bytes = 4u << 20; // 100,000 zones

// The first `most` bytes of another buffer, and whether there were more.
class limited_buffer final : public std::streambuf {
 public:
  limited_buffer(std::streambuf& from, std::uint64_t most) : from_(from), left_(most) {}

  bool exceeded() const noexcept { return exceeded_; }

 protected:
  int_type underflow() override {
    const auto got = from_.sgetn(window_, static_cast<std::streamsize>(std::min<std::uint64_t>(sizeof window_, left_)));
    left_ -= static_cast<std::uint64_t>(std::max<std::streamsize>(0, got));
    if (got <= 0) {
      exceeded_ = exceeded_ || (left_ == 0 && !traits_type::eq_int_type(from_.sgetc(), traits_type::eof()));
      return traits_type::eof();
    }
    setg(window_, window_, window_ + got);
    return traits_type::to_int_type(window_[0]);
  }

 private:
  std::streambuf& from_;
  std::uint64_t left_;
  bool exceeded_ = false;
  char window_[64u << 10];
};

[[noreturn]] void refuse_problem(const config_problem& x) {
  const auto reason = [&] {
    switch (x.kind) {
      case problem_kind::unknown_key:
        return config_refusal::unknown_key;
      case problem_kind::duplicate:
        return config_refusal::duplicate;
      case problem_kind::missing:
        return config_refusal::incomplete;
      case problem_kind::value:
        break;
    }
    return config_refusal::invalid_job;
  }();
  refuse(reason, fmt::format("has a mistake: {}: {}", x.path, x.what));
}

job_rules rules_of(const external_expectations& expected) {
  return {expected.config.datasets, expected.destinations, expected.store_max_bytes, job_origin::external};
}

bool knows(const std::vector<dataset_config>& datasets, std::string_view name) {
  return std::any_of(datasets.begin(), datasets.end(), [&](const dataset_config& x) { return x.name == name; });
}

class document_reader {
 public:
  document_reader(std::streambuf& from, const external_expectations& expected)
      : scanner_(from),
        expected_(expected),
        rules_(rules_of(expected)),
        builder_(expected.config.datasets, expected.config.defaults) {
    for (const auto& [account, zone] : expected.owners)
      builder_.assign_zone(account, zone); // contradictions among them were problems of the node's config
  }

  config_snapshot_ptr read() {
    scanner_.each_member("the document", [&](const std::string& key) { take_member(key); });
    scanner_.expect_end();
    for (const auto& [name, bit] : members)
      if ((needed & bit) != 0 && (seen_ & bit) == 0)
        refuse(config_refusal::incomplete, fmt::format("has no '{}'", name));
    if (enabled_ == 0)
      refuse(config_refusal::zero_entries, fmt::format("version {} entitles nobody", number(identity_.version)));
    if (enabled_ != entries_)
      refuse(config_refusal::inconsistent, fmt::format("version {} says it has {} entries and has {} jobs that are on",
                                                       number(identity_.version), entries_, enabled_));
    return builder_.finish(std::move(identity_));
  }

 private:
  enum member : std::uint32_t {
    format = 1u << 0,
    cluster = 1u << 1,
    version = 1u << 2,
    parent = 1u << 3,
    created = 1u << 4,
    entries = 1u << 5,
    accounts = 1u << 6,
    jobs = 1u << 7,
  };
  static constexpr std::pair<std::string_view, member> members[] = {
      {"format", format},   {"cluster", cluster}, {"version", version},   {"parent", parent},
      {"created", created}, {"entries", entries}, {"accounts", accounts}, {"jobs", jobs}};
  static constexpr std::uint32_t needed = format | cluster | version | entries | jobs;

  void take_member(const std::string& key) {
    const auto known =
        std::find_if(std::begin(members), std::end(members), [&](const auto& x) { return x.first == key; });
    if (known == std::end(members))
      refuse(config_refusal::unknown_key, fmt::format("has a key that the form does not know: '{}'", printable(key)));
    if ((seen_ & known->second) != 0)
      refuse(config_refusal::duplicate, fmt::format("has '{}' twice", key));
    seen_ |= known->second;
    switch (known->second) {
      case format:
        if (const auto x = number_of(key); x != document_format)
          refuse(config_refusal::unknown_format,
                 fmt::format("has format {}; this version knows {}", x, document_format));
        break;
      case cluster:
        take_cluster();
        break;
      case version:
        take_version();
        break;
      case parent:
        identity_.parent = config_version{number_of(key)};
        break;
      case created:
        take_created();
        break;
      case entries:
        entries_ = number_of(key);
        break;
      case accounts:
        if ((seen_ & jobs) != 0)
          refuse(config_refusal::inconsistent, "has 'accounts' behind 'jobs'; they must come first");
        scanner_.each_item(key, [&](std::size_t at) { take_account(at); });
        break;
      case jobs:
        scanner_.each_item(key, [&](std::size_t at) { take_job(at); });
        break;
    }
  }

  static std::string printable(std::string_view text) {
    std::string result{text.substr(0, 64)};
    std::replace_if(
        result.begin(), result.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return result;
  }

  simdjson::dom::element parsed(const std::string& text, std::string_view name) {
    simdjson::dom::element result;
    if (const auto error = parser_.parse(text).get(result))
      refuse(config_refusal::unparsable, fmt::format("is not JSON at {}: {}", name, simdjson::error_message(error)));
    return result;
  }

  std::uint64_t number_of(const std::string& key) {
    std::uint64_t result = 0;
    if (parsed(scanner_.value(key, max_scalar_bytes), key).get(result))
      refuse(config_refusal::inconsistent, fmt::format("has '{}' that is not a whole number from 0", key));
    return result;
  }

  void take_cluster() {
    std::string_view name;
    if (parsed(scanner_.value("cluster", max_scalar_bytes), "cluster").get(name) || name != expected_.config.cluster)
      refuse(config_refusal::foreign_cluster, fmt::format("is of another cluster than '{}'", expected_.config.cluster));
    identity_.cluster = name;
  }

  void take_version() {
    identity_.version = config_version{number_of("version")};
    if (number(identity_.version) == 0 || identity_.version <= expected_.config.in_force)
      refuse(config_refusal::older_version, fmt::format("has version {}; the generator's version {} was taken already",
                                                        number(identity_.version), number(expected_.config.in_force)));
  }

  void take_created() {
    constexpr std::uint64_t year_2200 = 7'258'118'400;
    const auto seconds = number_of("created");
    if (seconds > year_2200)
      refuse(config_refusal::inconsistent, "has 'created' that is not seconds since 1970");
    identity_.created = std::chrono::system_clock::time_point{std::chrono::seconds{seconds}};
  }

  void take_account(std::size_t at) {
    const auto name = fmt::format("accounts[{}]", at);
    const auto invalid = [&](std::string_view what) {
      refuse(config_refusal::inconsistent, fmt::format("has a mistake: {}: {}", name, what));
    };
    simdjson::dom::object members_of;
    if (parsed(scanner_.value(name, max_account_bytes), name).get(members_of))
      invalid("an account is an object with an id and zones");
    std::string_view id;
    simdjson::dom::array zones;
    bool has_id = false;
    bool has_zones = false;
    for (const auto& [key, value] : members_of) {
      if (key != "id" && key != "zones")
        refuse(config_refusal::unknown_key, fmt::format("has a key in {} that the form does not know", name));
      auto& has = key == "id" ? has_id : has_zones;
      if (has)
        refuse(config_refusal::duplicate, fmt::format("has '{}' twice in {}", key, name));
      has = true;
      if ((key == "id" ? value.get(id) : value.get(zones)) != simdjson::SUCCESS)
        invalid("id is a text, zones a list of texts");
    }
    if (!has_id || !has_zones)
      refuse(config_refusal::incomplete, fmt::format("has no id or no zones in {}", name));
    if (!valid_scope_id(id))
      invalid("the id has 1 to 32 letters, digits, '-' or '_'");
    for (const auto zone : zones) {
      std::string_view zone_id;
      if (zone.get(zone_id) || !valid_scope_id(zone_id))
        invalid("a zone's id has 1 to 32 letters, digits, '-' or '_'");
      if (!builder_.assign_zone(id, zone_id))
        invalid(fmt::format("zone '{}' has another owner already", zone_id));
    }
  }

  void take_job(std::size_t at) {
    const auto name = fmt::format("jobs[{}]", at);
    if (at >= expected_.config.max_jobs)
      refuse(config_refusal::too_many,
             fmt::format("has more than {} jobs, the most that this node can read", expected_.config.max_jobs));
    problem_list problems(1);
    job x;
    const auto& text = scanner_.value(name, job_bounds::max_line_bytes);
    if (!line_parser_.parse(text, name, x, problems))
      refuse_problem(problems.kept().front());
    if (!knows(rules_.datasets, x.dataset))
      refuse(
          config_refusal::unknown_dataset,
          fmt::format("uses a dataset in {} that this node's config does not have: '{}'", name, printable(x.dataset)));
    const auto to = check(x, rules_, name, problems);
    if (!problems.empty())
      refuse_problem(problems.kept().front());
    if (!builder_.add(x, to->fingerprint))
      refuse(config_refusal::duplicate, fmt::format("has job {} twice, again in {}", number(x.id), name));
    enabled_ += x.enabled ? 1 : 0;
  }

  json_scanner scanner_;
  const external_expectations& expected_;
  job_rules rules_;
  config_builder builder_;
  job_line_parser line_parser_;
  simdjson::dom::parser parser_{max_account_bytes};
  snapshot_identity identity_;
  std::uint64_t entries_ = 0;
  std::uint64_t enabled_ = 0;
  std::uint32_t seen_ = 0;
};

// What our own publisher would never write. A stranger's program may: its checksums prove nothing.
void check_jobs(const config_snapshot& made, const external_expectations& expected) {
  const auto rules = rules_of(expected);
  job x;
  for (settings_index at = 0; at < made.jobs.size(); ++at) {
    const auto settings = made.jobs.at(at);
    made.jobs.restore(at, x);
    x.dataset = made.datasets[settings.dataset].name;
    const auto name = fmt::format("job {}", number(x.id));
    problem_list problems(1);
    const auto to = check(x, rules, name, problems);
    if (!problems.empty())
      refuse_problem(problems.kept().front());
    if (to->fingerprint != settings.destination_fingerprint)
      refuse(config_refusal::inconsistent, fmt::format("has a destination of {} with another's fingerprint", name));
    if (settings.on_hold())
      refuse(config_refusal::inconsistent, fmt::format("has {} on hold, which only the publisher decides", name));
  }
}

// Spaces may stand before a document. Behind nothing but spaces and zeros there is none.
int first_of_content(std::streambuf& from) {
  auto x = from.sgetc();
  while (x == 0 || x == ' ' || (x >= '\t' && x <= '\r'))
    x = from.snextc();
  return x;
}

config_snapshot_ptr read_external(limited_buffer& from, const external_expectations& expected) {
  if (from.sgetc() == traits::to_int_type(forwarding_magic.front())) {
    std::istream stream(&from);
    auto read = load_forwarding_config(stream, expected.config);
    if (!read.snapshot)
      throw refusal{read.reason, std::move(read.text)};
    check_jobs(*read.snapshot, expected);
    return std::move(read.snapshot);
  }
  const auto first = first_of_content(from);
  if (traits::eq_int_type(first, traits::eof()))
    refuse(config_refusal::blank, "is blank");
  if (first != '{')
    refuse(config_refusal::unparsable, "begins neither like JSON ('{') nor like the binary form");
  if (!expected.config.keys.empty())
    refuse(config_refusal::unsigned_config,
           "is JSON, which cannot be signed, and forwarding.public_key_file asks for a signature");
  return document_reader(from, expected).read();
}

} // namespace

forwarding_config_result load_external_config(std::istream& from, const external_expectations& expected) {
  forwarding_config_result result;
  const auto refused = [&](config_refusal reason, std::string text) {
    constexpr std::string_view subject = "the forwarding config ";
    result.reason = reason;
    result.text = text.compare(0, subject.size(), subject) == 0 ? std::move(text) : fmt::format("{}{}", subject, text);
  };
  if (from.rdbuf() == nullptr || !from) {
    refused(config_refusal::unreadable, "cannot be read");
    return result;
  }
  const auto limited = std::make_unique<limited_buffer>(*from.rdbuf(), expected.max_bytes);
  try {
    result.snapshot = read_external(*limited, expected);
  } catch (const refusal& x) {
    refused(x.reason, x.text);
  } catch (const std::system_error& x) { // a stream's buffer says so when a read fails
    refused(config_refusal::unreadable, fmt::format("cannot be read: {}", x.code().message()));
  } catch (const std::length_error& x) {
    refused(config_refusal::too_many, fmt::format("is too large: {}", x.what()));
  }
  if (limited->exceeded()) {
    result.snapshot = nullptr;
    refused(config_refusal::too_large,
            fmt::format("has more than {} bytes (forwarding.max_bytes)", expected.max_bytes));
  }
  return result;
}

} // namespace weir
