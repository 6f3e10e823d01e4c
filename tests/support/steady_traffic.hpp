#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/running_node.hpp"
#include "tests/support/sink_server.hpp"

namespace weir {

/// Seconds of a phase: short in CI, a minute if `WEIR_SOAK` is set.
inline std::chrono::seconds phase_length(std::chrono::seconds in_ci) {
  const auto* soak = std::getenv("WEIR_SOAK");
  return soak != nullptr && *soak != '\0' ? std::max(in_ci, std::chrono::seconds(60)) : in_ci;
}

/// A job for the n-th zone, from 1, into a URL.
inline std::string job_line(unsigned id, const std::string& zone, const std::string& destination,
                            const std::string& more = "") {
  return R"({"id":)" + std::to_string(id) + R"(,"dataset":"http_requests","scope":"zones/)" + zone
         + R"(","destination_conf":")" + destination + R"(","max_upload_interval_seconds":1)" + more + '}';
}

/// Posts one body every 50 ms, with one event for each zone that carries the moment of its sending, until it is
/// stopped. A body is repeated under its key until it is acknowledged, so whatever was sent has to arrive.
class steady_traffic {
 public:
  using clock = std::chrono::steady_clock;

  steady_traffic(const running_node& node, std::vector<std::string> zones, std::size_t padding = 0,
                 const std::string& token = "")
      : url_(node.ingest_url()),
        token_(token.empty() ? node.token() : token),
        zones_(std::move(zones)),
        padding_(padding),
        worker_([this] { work(); }) {}
  ~steady_traffic() { stop(); }
  steady_traffic(const steady_traffic&) = delete;
  steady_traffic& operator=(const steady_traffic&) = delete;

  void stop() {
    stopping_ = true;
    if (worker_.joinable())
      worker_.join();
  }
  /// From the first try to the acknowledgement, in seconds, of bodies first sent within [from, to); sorted.
  std::vector<double> answer_times(clock::time_point from, clock::time_point to) const {
    std::lock_guard lock(mutex_);
    std::vector<double> all;
    for (const auto& [sent, took] : answers_)
      if (sent >= from && sent < to)
        all.push_back(took);
    std::sort(all.begin(), all.end());
    return all;
  }

  std::uint64_t bodies() const { return bodies_; }             ///< Acknowledged; one event a zone each.
  std::uint64_t repeats() const { return repeats_; }           ///< Tries that were not answered 200.
  std::uint64_t given_up() const { return given_up_; }         ///< Bodies refused for good: never expected.
  std::uint64_t not_accepted() const { return not_accepted_; } ///< Answers that took less than all events.

  /// Ids of all events of one zone, by its place in the list, in the order they were sent.
  std::vector<std::string> ids(std::size_t zone) const {
    std::vector<std::string> all;
    for (std::uint64_t i = 0; i < bodies_; ++i)
      all.push_back(id(i, zone));
    return all;
  }

 private:
  std::string id(std::uint64_t body, std::size_t zone) const {
    return std::to_string(body) + '-' + std::to_string(zone);
  }

  void work() {
    http_client::settings how;
    how.token = token_;
    http_client client(how);
    const auto run = std::to_string(clock::now().time_since_epoch().count());
    auto next = clock::now();
    std::uint64_t noise = 88172645463325252ull;
    while (!stopping_) {
      next += std::chrono::milliseconds(50);
      std::string body;
      const auto sent = std::to_string(clock::now().time_since_epoch().count());
      for (std::size_t i = 0; i < zones_.size(); ++i) {
        body += R"({"ZoneID":")" + zones_[i] + R"(","RayID":")" + id(bodies_, i) + R"(","Sent":)" + sent;
        if (padding_ > 0) {
          body += R"(,"Noise":")";
          for (std::size_t n = 0; n < padding_; ++n) {
            noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
            body += static_cast<char>('0' + noise % 64);
          }
          std::replace(body.begin(), body.end(), '\\', '/');
          body += '"';
        }
        body += "}\n";
      }
      const auto begin = clock::now();
      if (!post(client, body, run + '-' + std::to_string(bodies_)))
        return;
      {
        std::lock_guard lock(mutex_);
        answers_.emplace_back(begin, std::chrono::duration<double>(clock::now() - begin).count());
      }
      ++bodies_;
      // The pace of the load, not a wait for anything.
      std::this_thread::sleep_until(next);
    }
  }

  bool post(http_client& client, const std::string& body, const std::string& key) {
    for (const auto end = clock::now() + std::chrono::seconds(60); clock::now() < end; ++repeats_) {
      const auto answer = client.post(url_, body, {{"Idempotency-Key", key}});
      if (answer.status == 200) {
        const auto said = nlohmann::json::parse(answer.body);
        if (said["accepted"].get<std::uint64_t>() + said["repeated"].get<std::uint64_t>() != zones_.size())
          ++not_accepted_;
        return true;
      }
      if (answer.status == 400 || answer.status == 401 || answer.status == 403 || answer.status == 422)
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100)); // The back-off of a sender.
    }
    ++given_up_;
    return false;
  }

  std::string url_, token_;
  std::vector<std::string> zones_;
  std::size_t padding_;
  mutable std::mutex mutex_;
  std::vector<std::pair<clock::time_point, double>> answers_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> bodies_{0}, repeats_{0}, given_up_{0}, not_accepted_{0};
  std::thread worker_;
};

/// Looks at health and state five times a second from a connection of its own, as an operator's monitor does. Each
/// look is all of the paths; its time is theirs together.
class control_poller {
 public:
  explicit control_poller(const running_node& node, std::vector<std::string> paths = {"/healthz", "/v1/node"})
      : paths_(std::move(paths)),
        base_("http://127.0.0.1:" + std::to_string(node.control_port())),
        token_(node.token()),
        worker_([this] { work(); }) {}
  ~control_poller() { stop(); }
  void stop() {
    stopping_ = true;
    if (worker_.joinable())
      worker_.join();
  }
  std::size_t looks() const { return times_.size(); } ///< Call when stopped.
  /// Call when stopped. Of all answers; an answer that did not come counts as an hour.
  std::chrono::milliseconds p99() {
    std::sort(times_.begin(), times_.end());
    return times_.empty() ? std::chrono::hours(1) : times_[times_.size() * 99 / 100];
  }

 private:
  void work() {
    http_client::settings how;
    how.token = token_;
    how.timeout = std::chrono::seconds(5);
    http_client client(how);
    while (!stopping_) {
      const auto begin = std::chrono::steady_clock::now();
      const auto healthy = std::all_of(paths_.begin(), paths_.end(),
                                       [&](const auto& path) { return client.get(base_ + path).status == 200; });
      const auto took = std::chrono::steady_clock::now() - begin;
      times_.push_back(healthy ? std::chrono::duration_cast<std::chrono::milliseconds>(took) : std::chrono::hours(1));
      std::this_thread::sleep_for(std::chrono::milliseconds(200)); // The pace of the monitor.
    }
  }

  std::vector<std::string> paths_;
  std::string base_, token_;
  std::vector<std::chrono::milliseconds> times_;
  std::atomic<bool> stopping_{false};
  std::thread worker_;
};

/// Delays from sending to arrival, in seconds, of all events at `path_prefix` sent within [from, to). Events
/// that came twice count by their first arrival.
inline std::vector<double> delays(const std::vector<sink_request>& requests, std::chrono::steady_clock::time_point from,
                                  std::chrono::steady_clock::time_point to) {
  std::map<std::string, double> first;
  for (const auto& request : requests) {
    if (request.status / 100 != 2)
      continue;
    const std::string id_key = "\"RayID\":\"", sent_key = "\"Sent\":";
    for (auto at = request.text.find(id_key); at != std::string::npos; at = request.text.find(id_key, at)) {
      at += id_key.size();
      const auto id = request.text.substr(at, request.text.find('"', at) - at);
      const auto sent_at = request.text.find(sent_key, at) + sent_key.size();
      const std::chrono::steady_clock::time_point sent(
          std::chrono::steady_clock::duration(std::stoll(request.text.substr(sent_at, 24))));
      if (sent >= from && sent < to)
        first.emplace(id, std::chrono::duration<double>(request.at - sent).count());
    }
  }
  std::vector<double> all;
  for (const auto& [id, delay] : first)
    all.push_back(delay);
  std::sort(all.begin(), all.end());
  return all;
}

inline double percentile(const std::vector<double>& sorted, double share) {
  return sorted.empty() ? 1e9 : sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

/// Of the ledger's JSON, where 64-bit numbers are texts.
inline std::uint64_t ledger_number(const nlohmann::json& value) {
  return value.is_string() ? std::stoull(value.get<std::string>()) : value.get<std::uint64_t>();
}

} // namespace weir
