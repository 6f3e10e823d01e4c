#include <openssl/sha.h>

#include <algorithm>
#include <functional>
#include <map>
#include <ostream>

#include "config/forwarding_bytes.hpp"
#include "config/job.hpp"
#include "config/scope_order.hpp"

namespace weir {

namespace {

struct owned_zone {
  std::uint64_t hash;
  std::string_view zone;
  std::string_view account;
};

// Walks the snapshot once, part by part; only one part's message exists at a time.
class part_writer {
 public:
  explicit part_writer(const config_snapshot& from) : from_(from) {
    const auto prefix = name_of(scope_kind::accounts).size() + 1;
    from.tenants.each_zone_of_accounts([&](std::string_view zone, std::string_view account) {
      owners_.push_back({scope_hash(scope_kind::zones, zone), zone, account.substr(prefix)});
    });
    std::sort(owners_.begin(), owners_.end(), [](const owned_zone& a, const owned_zone& b) {
      return a.hash != b.hash ? a.hash < b.hash : a.zone < b.zone;
    });
  }

  /// The bytes of the next part, table before settings, 512 in all.
  const std::string& next() {
    bytes_.clear();
    if (half_ == config_half::table) {
      write_table();
      half_ = config_half::settings;
    } else {
      write_settings();
      half_ = config_half::table;
      ++part_;
    }
    return bytes_;
  }

 private:
  void write_table() {
    proto::TablePart message;
    for (; group_ < from_.table.size() && part_of(group_) == part_; ++group_) {
      for (const auto& entry : from_.table.entries(group_)) {
        auto& x = *message.add_entries();
        x.set_dataset(from_.table.dataset(group_));
        x.set_scope_id(std::string{from_.table.id(group_)});
        x.set_job(number(entry.job));
        x.set_destination_fingerprint(entry.destination_fingerprint);
        x.set_on_hold(entry.on_hold);
      }
    }
    for (; owner_ < owners_.size() && owners_[owner_].hash >> 56 == part_; ++owner_) {
      auto& x = *message.add_owners();
      x.set_zone(std::string{owners_[owner_].zone});
      x.set_account(std::string{owners_[owner_].account});
    }
    message.AppendToString(&bytes_);
  }

  void write_settings() {
    proto::SettingsPart message;
    std::map<const std::vector<std::string>*, std::uint32_t> lists;
    job x;
    if (from_.part_rows.empty()) // nothing was ever put in
      return;
    for (auto at = from_.part_rows[part_]; at < from_.part_rows[part_ + 1]; ++at) {
      const auto view = from_.jobs.at(from_.by_scope[at]);
      from_.jobs.restore(from_.by_scope[at], x);
      auto& out = *message.add_jobs();
      out.set_job(number(view.job));
      out.set_revision(number(view.revision));
      out.set_dataset(view.dataset);
      out.set_scope_id(std::string{split_scope(view.scope).id});
      out.set_destination_conf(x.destination_conf.reveal());
      out.set_destination_fingerprint(view.destination_fingerprint);
      out.set_enabled(view.enabled);
      out.set_name(x.name);
      out.set_max_upload_bytes(x.max_upload_bytes);
      out.set_max_upload_records(x.max_upload_records);
      out.set_max_upload_interval_seconds(x.max_upload_interval_seconds);
      out.set_max_buffer_bytes(x.max_buffer_bytes);
      out.set_on_hold_since(x.on_hold_since);
      const auto [list, is_new] = lists.try_emplace(view.field_names, static_cast<std::uint32_t>(lists.size()));
      out.set_field_list(list->second);
      if (is_new) {
        auto& names = *message.add_field_lists();
        for (const auto& name : *view.field_names)
          names.add_names(name);
      }
    }
    message.AppendToString(&bytes_);
  }

  std::uint64_t part_of(entry_index group) const noexcept {
    return scope_hash(from_.table.kind(group), from_.table.id(group)) >> 56;
  }

  const config_snapshot& from_;
  std::vector<owned_zone> owners_;
  std::string bytes_;
  config_half half_ = config_half::table;
  std::uint64_t part_ = 0;
  entry_index group_ = 0;
  std::size_t owner_ = 0;
};

proto::ForwardingHeader header_of(const config_snapshot& from) {
  proto::ForwardingHeader header;
  header.set_format(forwarding_format);
  header.set_cluster(from.cluster);
  header.set_version(number(from.version));
  header.set_parent(number(from.parent));
  header.set_parent_content_hash(std::string{bytes_of(from.parent_content)});
  header.set_created_ns(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(from.created.time_since_epoch()).count()));
  header.set_ownership_epoch(number(from.epoch));
  header.set_entries(from.table.entry_count());
  header.set_jobs(from.jobs.size());
  for (const auto& dataset : from.datasets) {
    auto& x = *header.add_datasets();
    x.set_name(dataset.name);
    x.set_of_accounts(dataset.scopes == scope_kind::accounts);
  }
  for (const auto& part : from.parts) {
    auto& x = *header.add_parts();
    x.set_bytes(part.bytes);
    x.set_hash(std::string{bytes_of(part.hash)});
  }
  return header;
}

} // namespace

content_hash sha256(std::string_view bytes) noexcept {
  content_hash result;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), result.data());
  return result;
}

std::string_view bytes_of(const content_hash& hash) noexcept {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

content_hash content_hash_of(const proto::ForwardingHeader& header) {
  std::string all;
  for (const auto& dataset : header.datasets()) {
    all += dataset.name();
    all += dataset.of_accounts() ? "/accounts\n" : "/zones\n";
  }
  for (const auto& part : header.parts())
    all += part.hash();
  return sha256(all);
}

void keep_order(config_snapshot& snapshot, const std::vector<scope_ordered>& jobs) {
  snapshot.by_scope.clear();
  snapshot.by_scope.reserve(jobs.size());
  snapshot.part_rows.assign(forwarding_parts + 1, 0);
  for (const auto& x : jobs) {
    snapshot.by_scope.push_back(x.row);
    ++snapshot.part_rows[x.part() + 1];
  }
  for (unsigned part = 0; part < forwarding_parts; ++part)
    snapshot.part_rows[part + 1] += snapshot.part_rows[part];
}

void hash_parts(config_snapshot& snapshot) {
  part_writer parts(snapshot);
  snapshot.parts.clear();
  for (unsigned i = 0; i < 2 * forwarding_parts; ++i) {
    const auto& bytes = parts.next();
    snapshot.parts.push_back({static_cast<std::uint32_t>(bytes.size()), sha256(bytes)});
  }
  snapshot.content = content_hash_of(header_of(snapshot));
}

bool write_forwarding_config(const config_snapshot& snapshot, std::ostream& into, const config_signer* signer) {
  auto header = header_of(snapshot);
  header.set_content_hash(std::string{bytes_of(snapshot.content)});
  proto::ForwardingEnvelope envelope;
  envelope.set_header(header.SerializeAsString());
  envelope.set_header_hash(std::string{bytes_of(sha256(envelope.header()))});
  if (signer != nullptr)
    envelope.set_signature(signer->sign(envelope.header()));
  const auto envelope_bytes = envelope.SerializeAsString();
  into.write(forwarding_magic.data(), static_cast<std::streamsize>(forwarding_magic.size()));
  char size[4];
  for (int i = 0; i < 4; ++i)
    size[i] = static_cast<char>(envelope_bytes.size() >> (8 * i));
  into.write(size, sizeof size);
  into.write(envelope_bytes.data(), static_cast<std::streamsize>(envelope_bytes.size()));
  part_writer parts(snapshot);
  for (unsigned i = 0; i < 2 * forwarding_parts && into; ++i) {
    const auto& bytes = parts.next();
    into.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  into.flush();
  return static_cast<bool>(into);
}

} // namespace weir
