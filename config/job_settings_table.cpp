#include "config/job_settings_table.hpp"

#include "config/job.hpp"

namespace weir {

std::string destination_view::redacted() const {
  return redacted_destination(text_);
}

bool job_settings_table::add(const job& x, dataset_index dataset, tenant_index tenant, std::string_view scope,
                             std::uint64_t destination_fingerprint) {
  const auto id = number(x.id);
  if (find(x.id))
    return false;
  auto [list, is_new] = lists_.try_emplace(x.field_names, static_cast<std::uint32_t>(list_of_.size()));
  if (is_new)
    list_of_.push_back(&list->first);
  row next{};
  next.job = id;
  next.fingerprint = destination_fingerprint;
  next.revision = number(x.revision);
  next.max_buffer_bytes = x.max_buffer_bytes;
  next.text = arena_.add(x.destination_conf.reveal(), x.name);
  next.scope = scope.data();
  next.tenant = tenant;
  next.field_list = list->second;
  next.max_upload_bytes = static_cast<std::uint32_t>(x.max_upload_bytes);
  next.max_upload_records = static_cast<std::uint32_t>(x.max_upload_records);
  next.max_upload_seconds = static_cast<std::uint32_t>(x.max_upload_interval_seconds);
  next.destination_size = static_cast<std::uint16_t>(x.destination_conf.reveal().size());
  next.name_size = static_cast<std::uint16_t>(x.name.size());
  next.dataset = dataset;
  next.scope_size = static_cast<std::uint8_t>(scope.size());
  next.enabled = x.enabled;
  next.on_hold_since = x.on_hold_since;
  by_id_.insert(id, static_cast<std::uint32_t>(rows_.size()));
  rows_.push_back(next);
  return true;
}

std::optional<settings_index> job_settings_table::find(job_id job) const noexcept {
  const auto row = by_id_.find(number(job), [&](std::uint32_t at) { return rows_[at].job == number(job); });
  if (row == flat_index::npos)
    return std::nullopt;
  return row;
}

job_settings job_settings_table::at(settings_index at) const noexcept {
  const auto& x = rows_[at];
  const auto or_default = [](std::uint64_t given, std::uint64_t fallback) { return given == 0 ? fallback : given; };
  job_settings result;
  result.job = job_id{x.job};
  result.revision = weir::revision{x.revision};
  result.dataset = x.dataset;
  result.tenant = x.tenant;
  result.enabled = x.enabled;
  result.on_hold_since = std::chrono::system_clock::time_point{std::chrono::seconds{x.on_hold_since}};
  result.scope = this->scope(at);
  result.destination = destination_view{arena_.at(x.text, x.destination_size)};
  result.name = arena_.at(x.text + x.destination_size, x.name_size);
  result.destination_fingerprint = x.fingerprint;
  result.field_names = list_of_[x.field_list];
  result.max_upload_bytes = or_default(x.max_upload_bytes, defaults_.max_upload_bytes);
  result.max_upload_records = or_default(x.max_upload_records, defaults_.max_upload_records);
  result.max_upload_interval =
      x.max_upload_seconds == 0 ? defaults_.max_upload_interval : std::chrono::seconds{x.max_upload_seconds};
  result.max_buffer_bytes = or_default(x.max_buffer_bytes, defaults_.max_buffer_bytes);
  return result;
}

void job_settings_table::restore(settings_index at, job& into) const {
  const auto& x = rows_[at];
  const auto view = this->at(at);
  into.id = view.job;
  into.revision = view.revision;
  into.scope = view.scope;
  into.name = view.name;
  into.destination_conf = secret{std::string{view.destination.reveal()}};
  into.field_names = *view.field_names;
  into.enabled = view.enabled;
  into.on_hold_since = x.on_hold_since;
  into.max_upload_bytes = x.max_upload_bytes;
  into.max_upload_records = x.max_upload_records;
  into.max_upload_interval_seconds = x.max_upload_seconds;
  into.max_buffer_bytes = x.max_buffer_bytes;
}

bool job_settings_table::same_settings(settings_index at, const job_settings_table& other,
                                       settings_index other_at) const noexcept {
  const auto& a = rows_[at];
  const auto& b = other.rows_[other_at];
  const auto texts = [](const job_settings_table& table, const row& x) {
    return table.arena_.at(x.text, std::size_t{x.destination_size} + x.name_size);
  };
  return a.revision == b.revision && a.fingerprint == b.fingerprint && a.enabled == b.enabled
         && a.on_hold_since == b.on_hold_since && a.max_buffer_bytes == b.max_buffer_bytes
         && a.max_upload_bytes == b.max_upload_bytes && a.max_upload_records == b.max_upload_records
         && a.max_upload_seconds == b.max_upload_seconds && a.destination_size == b.destination_size
         && texts(*this, a) == texts(other, b) && *list_of_[a.field_list] == *other.list_of_[b.field_list];
}

std::size_t job_settings_table::memory_bytes() const noexcept {
  auto bytes = rows_.memory_bytes() + arena_.memory_bytes() + by_id_.memory_bytes();
  for (const auto& [list, _] : lists_) {
    bytes += sizeof list + 48 + sizeof(void*);
    for (const auto& field : list)
      bytes += sizeof field + (field.size() > 15 ? field.size() + 1 : 0);
  }
  return bytes;
}

} // namespace weir
