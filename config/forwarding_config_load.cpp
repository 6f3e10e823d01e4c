#include <algorithm>
#include <istream>

#include <fmt/format.h>

#include "config/forwarding_bytes.hpp"
#include "config/job.hpp"

namespace weir {

namespace {

// Reads exactly `size` bytes, in steps so that a lying length costs no memory.
void read_exactly(std::istream& from, std::size_t size, std::string& into, std::string_view what) {
  constexpr std::size_t step = 1u << 20;
  into.clear();
  while (into.size() < size) {
    const auto next = std::min(step, size - into.size());
    const auto had = into.size();
    into.resize(had + next);
    from.read(&into[had], static_cast<std::streamsize>(next));
    const auto got = static_cast<std::size_t>(from.gcount());
    if (from.bad())
      refuse(config_refusal::unreadable, fmt::format("cannot be read in {}", what));
    if (got < next)
      refuse(config_refusal::truncated, fmt::format("ends in {} after {} of {} bytes", what, had + got, size));
  }
}

std::string read_envelope(std::istream& from) {
  std::string magic(forwarding_magic.size(), '\0');
  from.read(magic.data(), static_cast<std::streamsize>(magic.size()));
  magic.resize(static_cast<std::size_t>(from.gcount()));
  if (from.bad())
    refuse(config_refusal::unreadable, "cannot be read");
  if (std::all_of(magic.begin(), magic.end(), [](char c) { return c == 0 || c == ' ' || (c >= '\t' && c <= '\r'); }))
    refuse(config_refusal::blank, "is blank");
  if (forwarding_magic.substr(0, magic.size()) != magic)
    refuse(config_refusal::unparsable, "does not begin like a forwarding config");
  if (magic.size() < forwarding_magic.size())
    refuse(config_refusal::truncated, "ends in its first 8 bytes");
  std::string bytes;
  read_exactly(from, 4, bytes, "the length of its header");
  std::size_t size = 0;
  for (unsigned i = 0; i < 4; ++i)
    size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (size == 0 || size > max_forwarding_header_bytes)
    refuse(config_refusal::unparsable, fmt::format("has a header of {} bytes", size));
  read_exactly(from, size, bytes, "its header");
  return bytes;
}

proto::ForwardingHeader checked_header(const std::string& bytes, const forwarding_expectations& expected) {
  proto::ForwardingEnvelope envelope;
  if (!envelope.ParseFromString(bytes))
    refuse(config_refusal::unparsable, "has a header that cannot be parsed");
  if (envelope.header_hash() != bytes_of(sha256(envelope.header())))
    refuse(config_refusal::wrong_checksum, "has a header that differs from its checksum");
  // Before a single field is looked at. A header that nobody signed says nothing.
  if (!expected.keys.empty() && envelope.signature().empty())
    refuse(config_refusal::unsigned_config, "is not signed, and this node takes signed ones only");
  if (!expected.keys.empty() && !verify_signature(envelope.header(), envelope.signature(), expected.keys))
    refuse(config_refusal::wrong_signature, "is not signed by a key that this node trusts");
  proto::ForwardingHeader header;
  if (!header.ParseFromString(envelope.header()))
    refuse(config_refusal::unparsable, "has a header that cannot be parsed");
  if (header.format() != forwarding_format)
    refuse(config_refusal::unknown_format,
           fmt::format("has format {}; this version knows {}", header.format(), forwarding_format));
  if (header.cluster() != expected.cluster)
    refuse(config_refusal::foreign_cluster, fmt::format("is of another cluster than '{}'", expected.cluster));
  if (header.version() == 0 || header.version() <= number(expected.in_force))
    refuse(config_refusal::older_version,
           fmt::format("has version {}; version {} is in force", header.version(), number(expected.in_force)));
  if (header.entries() == 0)
    refuse(config_refusal::zero_entries, fmt::format("version {} entitles nobody", header.version()));
  if (header.jobs() > expected.max_jobs || header.entries() > expected.max_jobs)
    refuse(config_refusal::too_many, fmt::format("version {} has {} jobs; limits.buffers is {}", header.version(),
                                                 std::max(header.jobs(), header.entries()), expected.max_jobs));
  if (header.parts_size() != static_cast<int>(2 * forwarding_parts)
      || header.content_hash() != bytes_of(content_hash_of(header)))
    refuse(config_refusal::wrong_checksum, "has part hashes that differ from the content's");
  for (const auto& part : header.parts())
    if (part.hash().size() != sizeof(content_hash) || part.bytes() > max_forwarding_part_bytes)
      refuse(config_refusal::unparsable, "has a part without a proper size or hash");
  return header;
}

content_hash hash_from(const std::string& bytes) {
  content_hash result{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), result.size()), result.begin());
  return result;
}

// Takes the parts in, one by one, and checks that they say what the header says.
class snapshot_reader {
 public:
  snapshot_reader(const proto::ForwardingHeader& header, const forwarding_expectations& expected)
      : header_(header), expected_(expected), table_(kinds_of(expected.datasets), header.entries()) {
    made_->version = config_version{header.version()};
    made_->parent = config_version{header.parent()};
    made_->parent_content = hash_from(header.parent_content_hash());
    made_->content = hash_from(header.content_hash());
    made_->epoch = ownership_epoch{header.ownership_epoch()};
    made_->cluster = header.cluster();
    made_->created =
        std::chrono::system_clock::time_point{std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds{static_cast<std::int64_t>(header.created_ns())})};
    made_->datasets = expected.datasets;
    made_->jobs = job_settings_table{expected.defaults};
    for (const auto& part : header.parts())
      made_->parts.push_back({part.bytes(), hash_from(part.hash())});
    map_datasets();
  }

  void take(unsigned part, const proto::TablePart& table, const proto::SettingsPart& settings) {
    for (const auto& owner : table.owners()) {
      expect_part(part, scope_kind::zones, owner.zone());
      if (!valid_scope_id(owner.account()) || !made_->tenants.assign(owner.account(), owner.zone()))
        contradiction(part, "a zone has two owners");
    }
    for (const auto& x : settings.jobs())
      take_settings(part, settings, x);
    for (const auto& x : table.entries())
      take_entry(part, x);
  }

  config_snapshot_ptr finish() && {
    made_->table = std::move(table_).finish();
    const auto jobs = expected_.with_settings ? header_.jobs() : 0;
    if (made_->table.entry_count() != header_.entries() || made_->jobs.size() != jobs
        || (expected_.with_settings && enabled_ != header_.entries()))
      refuse(config_refusal::inconsistent, "has other numbers of entries and jobs than its header says");
    if (!expected_.with_settings)
      return std::move(made_);
    keep_order(*made_, jobs_by_scope(made_->jobs));
    if (!same_numbers_)
      hash_parts(*made_);
    return std::move(made_);
  }

 private:
  static std::vector<scope_kind> kinds_of(const std::vector<dataset_config>& datasets) {
    std::vector<scope_kind> result;
    for (const auto& x : datasets)
      result.push_back(x.scopes);
    return result;
  }

  [[noreturn]] void contradiction(unsigned part, std::string_view what) const {
    refuse(config_refusal::inconsistent, fmt::format("contradicts itself in part {}: {}", part, what));
  }

  // The header's datasets by this node's numbers. One that no job uses may be unknown here. If the numbers
  // differ, parts and content are hashed anew: a snapshot's hashes are those of what it would be written as.
  void map_datasets() {
    const auto& mine = made_->datasets;
    same_numbers_ =
        static_cast<std::size_t>(header_.datasets_size()) == mine.size()
        && std::equal(mine.begin(), mine.end(), header_.datasets().begin(), [](const auto& a, const auto& b) {
             return a.name == b.name() && (a.scopes == scope_kind::accounts) == b.of_accounts();
           });
    for (const auto& x : header_.datasets()) {
      const auto kind = x.of_accounts() ? scope_kind::accounts : scope_kind::zones;
      const auto here = made_->find_dataset(x.name());
      datasets_.push_back(here && made_->datasets[*here].scopes == kind ? *here : no_dataset);
    }
  }

  dataset_index dataset_of(unsigned part, std::uint32_t number_in_header) const {
    if (number_in_header >= datasets_.size())
      contradiction(part, "a dataset is not in the header");
    if (datasets_[number_in_header] == no_dataset)
      refuse(
          config_refusal::unknown_dataset,
          fmt::format("uses a dataset ('{:.64}') that this node's config does not have, or not by that kind of scope",
                      header_.datasets(static_cast<int>(number_in_header)).name()));
    return datasets_[number_in_header];
  }

  void expect_part(unsigned part, scope_kind kind, const std::string& id) const {
    if (!valid_scope_id(id) || scope_hash(kind, id) >> 56 != part)
      contradiction(part, "a scope is invalid or belongs to another part");
  }

  void take_settings(unsigned part, const proto::SettingsPart& from, const proto::JobSettings& x) {
    const auto dataset = dataset_of(part, x.dataset());
    const auto kind = made_->datasets[dataset].scopes;
    expect_part(part, kind, x.scope_id());
    if (x.field_list() >= static_cast<std::uint32_t>(from.field_lists_size()))
      contradiction(part, "a list of fields is missing");
    const auto& names = from.field_lists(static_cast<int>(x.field_list())).names();
    // These bounds are also those of the rows they are kept in.
    if (x.job() == 0 || x.revision() == 0 || x.destination_conf().empty()
        || x.destination_conf().size() > job_bounds::max_destination_bytes
        || x.name().size() > job_bounds::max_name_bytes || x.max_upload_bytes() > 0xffff'ffff
        || x.max_upload_records() > 0xffff'ffff || x.max_upload_interval_seconds() > 0xffff'ffff
        || names.size() > static_cast<int>(job_bounds::max_field_names))
      contradiction(part, fmt::format("job {} is outside the bounds of a job", x.job()));
    job_.id = job_id{x.job()};
    job_.revision = revision{x.revision()};
    job_.name = x.name();
    job_.destination_conf = secret{x.destination_conf()};
    job_.field_names.assign(names.begin(), names.end());
    job_.enabled = x.enabled();
    job_.max_upload_bytes = x.max_upload_bytes();
    job_.max_upload_records = x.max_upload_records();
    job_.max_upload_interval_seconds = x.max_upload_interval_seconds();
    job_.max_buffer_bytes = x.max_buffer_bytes();
    job_.on_hold_since = x.on_hold_since();
    const auto tenant = made_->tenants.own(kind, x.scope_id());
    const auto scope = made_->tenants.scope_text(kind, x.scope_id());
    if (!made_->jobs.add(job_, dataset, tenant, scope, x.destination_fingerprint()))
      contradiction(part, fmt::format("job {} is there twice", x.job()));
    enabled_ += x.enabled() ? 1 : 0;
  }

  void take_entry(unsigned part, const proto::TableEntry& x) {
    const auto dataset = dataset_of(part, x.dataset());
    const auto kind = made_->datasets[dataset].scopes;
    expect_part(part, kind, x.scope_id());
    forwarding_entry entry;
    entry.job = job_id{x.job()};
    entry.destination_fingerprint = x.destination_fingerprint();
    entry.on_hold = x.on_hold();
    entry.tenant = made_->tenants.own(kind, x.scope_id());
    if (expected_.with_settings) {
      const auto at = made_->jobs.find(entry.job);
      if (!at)
        contradiction(part, fmt::format("job {} has no settings", x.job()));
      const auto settings = made_->jobs.at(*at);
      if (!settings.enabled || settings.dataset != dataset || split_scope(settings.scope).id != x.scope_id()
          || settings.destination_fingerprint != entry.destination_fingerprint || settings.on_hold() != entry.on_hold)
        contradiction(part, fmt::format("job {} is another one in the table than in the settings", x.job()));
      entry.settings = *at;
    }
    if (!table_.add(dataset, kind, x.scope_id(), entry))
      contradiction(part, "entries of a scope are not together");
    const auto last = made_last_;
    made_last_ = {dataset, x.scope_id(), x.job()};
    if (last.dataset == dataset && last.scope_id == x.scope_id() && last.job >= x.job())
      contradiction(part, "jobs of a scope are out of order or there twice");
  }

  struct last_entry {
    dataset_index dataset = no_dataset;
    std::string scope_id;
    std::uint64_t job = 0;
  };

  const proto::ForwardingHeader& header_;
  const forwarding_expectations& expected_;
  std::shared_ptr<config_snapshot> made_ = std::make_shared<config_snapshot>();
  forwarding_table_builder table_;
  std::vector<dataset_index> datasets_;
  job job_;
  last_entry made_last_;
  std::uint64_t enabled_ = 0;
  bool same_numbers_ = true;
};

// The bytes of part `i` of 512, checked against its hash. An unwanted half is skipped, but hashed.
void read_part(std::istream& from, const proto::ForwardingHeader& header, unsigned i, std::string& bytes) {
  const auto& part = header.parts(static_cast<int>(i));
  const auto what = fmt::format("{} part {}", i % 2 == 0 ? "table" : "settings", i / 2);
  read_exactly(from, part.bytes(), bytes, what);
  if (part.hash() != bytes_of(sha256(bytes)))
    refuse(config_refusal::wrong_checksum, fmt::format("differs from its checksum in {}", what));
}

config_snapshot_ptr read_snapshot(std::istream& from, const forwarding_expectations& expected) {
  const auto header = checked_header(read_envelope(from), expected);
  snapshot_reader reader(header, expected);
  std::string bytes;
  for (unsigned part = 0; part < forwarding_parts; ++part) {
    proto::TablePart table;
    read_part(from, header, 2 * part, bytes);
    if (!table.ParseFromString(bytes))
      refuse(config_refusal::unparsable, fmt::format("has a table part {} that cannot be parsed", part));
    proto::SettingsPart settings;
    read_part(from, header, 2 * part + 1, bytes);
    if (expected.with_settings && !settings.ParseFromString(bytes))
      refuse(config_refusal::unparsable, fmt::format("has a settings part {} that cannot be parsed", part));
    reader.take(part, table, settings);
  }
  if (from.peek() != std::istream::traits_type::eof())
    refuse(config_refusal::unparsable, "goes on behind its end");
  return std::move(reader).finish();
}

} // namespace

std::string_view name_of(config_refusal reason) noexcept {
  switch (reason) {
    case config_refusal::none:
      return "none";
    case config_refusal::unreadable:
      return "unreadable";
    case config_refusal::blank:
      return "blank";
    case config_refusal::truncated:
      return "truncated";
    case config_refusal::unparsable:
      return "unparsable";
    case config_refusal::unknown_format:
      return "unknown_format";
    case config_refusal::wrong_checksum:
      return "wrong_checksum";
    case config_refusal::foreign_cluster:
      return "foreign_cluster";
    case config_refusal::older_version:
      return "older_version";
    case config_refusal::unknown_dataset:
      return "unknown_dataset";
    case config_refusal::zero_entries:
      return "zero_entries";
    case config_refusal::too_many:
      return "too_many";
    case config_refusal::inconsistent:
      return "inconsistent";
    case config_refusal::wrong_signature:
      return "wrong_signature";
    case config_refusal::unsigned_config:
      return "unsigned_config";
    case config_refusal::unknown_key:
      return "unknown_key";
    case config_refusal::duplicate:
      return "duplicate";
    case config_refusal::incomplete:
      return "incomplete";
    case config_refusal::invalid_job:
      return "invalid_job";
    case config_refusal::too_large:
      return "too_large";
  }
  return "none";
}

forwarding_config_result load_forwarding_config(std::istream& from, const forwarding_expectations& expected) {
  forwarding_config_result result;
  try {
    result.snapshot = read_snapshot(from, expected);
  } catch (const refusal& x) {
    result.reason = x.reason;
    result.text = fmt::format("the forwarding config {}", x.text);
  } catch (const std::length_error& x) {
    result.reason = config_refusal::too_many;
    result.text = fmt::format("the forwarding config is too large: {}", x.what());
  }
  return result;
}

} // namespace weir
