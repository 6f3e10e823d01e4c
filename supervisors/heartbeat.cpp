#include "supervisors/heartbeat.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "store/gzip_member.hpp"

namespace weir {

namespace {

constexpr std::uint64_t most_object_bytes = 1 << 20;
constexpr std::string_view object_end = ".log.gz";
constexpr std::string_view mark = R"({"weir_heartbeat":1,)";

bool is_object(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.size() > object_end.size()
         && name.substr(name.size() - object_end.size()) == object_end;
}

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

} // namespace

/// Where the heartbeat's job pushes to; nothing if there is no such job, or none that pushes to files.
std::optional<std::string> heartbeat::directory() const {
  const auto snapshot = parts_.snapshot();
  const auto dataset = snapshot->find_dataset(heartbeat_dataset);
  if (!dataset)
    return std::nullopt;
  const auto entry = snapshot->table.find_scope(*dataset, heartbeat_scope);
  if (entry == not_entitled)
    return std::nullopt;
  for (const auto& x : snapshot->table.entries(entry)) {
    const auto settings = snapshot->find_job(x.job);
    if (!settings || !settings->entitled())
      continue;
    const auto to = parse_destination(settings->destination.reveal(), parts_.rules);
    if (to.value && to.value->kind == destination_kind::file && to.value->path.find('{') == std::string::npos)
      return to.value->path;
  }
  return std::nullopt;
}

void heartbeat::tick() {
  const auto now = parts_.world.clock->steady();
  const auto where = directory();
  if (!where) {
    // Nobody wants to know any more.
    proven_.reset();
    last_.reset();
    outstanding_.clear();
    if (age_)
      age_->Set(0);
    return;
  }
  if (!proven_)
    proven_ = now;
  look(*where, now);
  if (!last_ || now - *last_ >= parts_.every)
    send(now);
  show(now);
}

void heartbeat::send(time_point now) {
  last_ = now;
  const auto dataset = parts_.gate->dataset(heartbeat_dataset);
  if (!dataset)
    return;
  beat next;
  next.began = now;
  next.line = fmt::format(R"({}"node":"{}","beat":{},"nonce":"{:016x}"}})", mark, parts_.node, ++number_,
                          parts_.world.random->next());
  auto who = std::make_shared<sender>();
  who->token = heartbeat_sender;
  who->scopes = {std::string{heartbeat_scope}};
  const auto bytes = next.line.size() + 1;
  ingest_refusal refused;
  auto place = parts_.gate->reserve(*who, bytes, refused);
  if (!place)
    return; // as a customer's would be; the age tells
  auto text = std::make_shared<payload>();
  text->reserve(bytes);
  std::memcpy(text->data_for_writing(), next.line.data(), next.line.size());
  text->data_for_writing()[next.line.size()] = '\n';
  text->resize(bytes);
  text->seal();
  text->hold(std::move(*place));
  ingest_body body;
  body.bytes = std::move(text);
  body.dataset = *dataset;
  body.scope = heartbeat_scope;
  body.from = std::move(who);
  body.respond = [](const ingest_answer&) {}; // what counts is whether it arrives
  outstanding_.push_back(std::move(next));
  if (outstanding_.size() > most_outstanding)
    outstanding_.pop_front();
  parts_.gate->accept(std::move(body));
}

void heartbeat::look(const std::string& directory, time_point now) {
  std::vector<std::string> names;
  if (parts_.world.disk->list(directory, names))
    return; // not made before the first object
  for (const auto& name : names) {
    if (!is_object(name) || foreign_.count(name) > 0)
      continue;
    const auto path = directory + '/' + name;
    if (take(path, now)) {
      parts_.world.disk->remove(path); // If it stays, the next look finds it again, and nothing new in it.
    } else if (foreign_.size() < most_foreign) {
      foreign_.insert(name);
    }
  }
}

/// Whether the object holds heartbeats and nothing else; those that are outstanding have arrived.
bool heartbeat::take(const std::string& path, time_point now) {
  std::unique_ptr<disk_file> file;
  std::uint64_t size = 0;
  if (parts_.world.disk->open(path, disk::open_mode::read, file) || file->size(size) || size == 0
      || size > most_object_bytes)
    return false;
  std::string bytes(size, '\0');
  std::size_t got = 0;
  if (file->read(0, bytes.data(), bytes.size(), got) || got != bytes.size())
    return false;
  store::member_reader reader;
  reader.open(std::string_view{bytes});
  std::vector<std::string> lines;
  store::decoded_member member;
  auto status = store::member_status::ok;
  while ((status = reader.next(member)) == store::member_status::ok)
    for (auto rest = member.raw; !rest.empty();) {
      const auto end = std::min(rest.find('\n'), rest.size());
      lines.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  const auto ours = [](const std::string& line) { return line.compare(0, mark.size(), mark) == 0; };
  if (status != store::member_status::end || lines.empty() || !std::all_of(lines.begin(), lines.end(), ours))
    return false;
  for (const auto& line : lines) {
    const auto found =
        std::find_if(outstanding_.begin(), outstanding_.end(), [&](const beat& x) { return x.line == line; });
    if (found == outstanding_.end())
      continue; // of a run before this one, or seen already
    if (!proven_ || found->began >= *proven_) {
      proven_ = found->began;
      if (!took_)
        took_ = &make_gauge(parts_.metrics->families(), "weir_heartbeat_seconds",
                            "How long the latest heartbeat that arrived took from intake to destination.");
      took_->Set(seconds(now - found->began));
    }
    outstanding_.erase(found);
  }
  return true;
}

void heartbeat::show(time_point now) {
  if (!age_)
    age_ = &make_gauge(parts_.metrics->families(), "weir_heartbeat_age_seconds",
                       "Since the start of the latest heartbeat that went the whole way from intake to destination.");
  age_->Set(seconds(now - *proven_));
}

} // namespace weir
