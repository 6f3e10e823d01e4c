#include "apps/source_poller.hpp"

#include <exception>
#include <utility>

#include "telemetry/log.hpp"

namespace weir {

namespace {

external_expectations expectations_of(const node_config& config) {
  external_expectations expected;
  expected.config.cluster = config.cluster;
  expected.config.datasets = config.datasets;
  expected.config.defaults = config.pusher.object;
  expected.config.max_jobs = readable_jobs(config.limits);
  if (config.forwarding.public_key)
    expected.config.keys = {*config.forwarding.public_key};
  for (const auto& account : config.accounts)
    for (const auto& zone : account.zones)
      expected.owners.emplace_back(account.id, zone);
  expected.destinations = rules_for_destinations(config, job_origin::external);
  expected.store_max_bytes = config.limits.store_max_bytes;
  expected.max_bytes = config.forwarding.max_bytes;
  return expected;
}

} // namespace

std::unique_ptr<source_poller> source_poller::start(const node_config& config, const config_world& world,
                                                    std::function<void()> changed) {
  using kind = forwarding_source_config::source_kind;
  const auto& from = config.forwarding;
  if (from.source == kind::jobs)
    return nullptr;
  config_source_parts parts;
  parts.expected = expectations_of(config);
  https_reader* remote = nullptr;
  if (from.source == kind::file) {
    parts.reader = make_file_reader(world, from.file);
    parts.where = "file:" + from.file;
  } else {
    https_reader_settings how;
    how.url = from.url;
    how.authorities_file = from.authorities_file;
    auto reader = std::make_unique<https_reader>(std::move(how));
    remote = reader.get();
    parts.reader = std::move(reader);
    parts.where = from.url;
  }
  return std::unique_ptr<source_poller>{
      new source_poller{std::make_unique<config_source>(std::move(parts)), remote, from.poll, std::move(changed)}};
}

source_poller::source_poller(std::unique_ptr<config_source> source, https_reader* remote,
                             std::chrono::milliseconds period, std::function<void()> changed)
    : source_(std::move(source)), remote_(remote), period_(period), changed_(std::move(changed)), thread_([this] {
        run();
      }) {}

source_poller::~source_poller() {
  {
    std::lock_guard lock{mutex_};
    ending_ = true;
  }
  woken_.notify_all();
  if (remote_ != nullptr)
    remote_->stop();
  thread_.join();
}

void source_poller::run() {
  std::unique_lock lock{mutex_};
  while (!ending_) {
    lock.unlock();
    try {
      if (source_->poll())
        changed_();
    } catch (const std::exception& error) {
      log::error("config-source-failed", "the source of the forwarding config could not be read: {}", error.what());
    }
    lock.lock();
    woken_.wait_for(lock, period_, [this] { return ending_; });
  }
}

} // namespace weir
