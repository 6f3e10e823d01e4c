#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/sources/ingest.hpp"

namespace weir {

/// The node behind a source, reduced to what a source sees of it. It answers each body at once, or keeps it
/// until told to.
class fake_gate : public ingest_gate {
 public:
  fake_gate() {
    add_sender("s3cret", {"dev", true, {}});
    add_sender("narrow-token", {"narrow", false, {"accounts/acme", "zones/a"}});
  }

  void add_sender(const std::string& token, sender who) {
    senders_[token] = std::make_shared<const sender>(std::move(who));
  }

  std::optional<std::uint32_t> dataset(std::string_view name) const override {
    if (name == "http_requests")
      return 0;
    if (name == "audit_logs")
      return accounts_only;
    return name == "dns_logs" ? std::optional<std::uint32_t>{1} : std::nullopt;
  }

  bool fits(std::uint32_t dataset, std::string_view scope) const override {
    return dataset == 0 || (scope.substr(0, 9) == "accounts/") == (dataset == accounts_only);
  }

  std::optional<credit> reserve(const sender&, std::uint64_t bytes, ingest_refusal& refusal) override {
    std::lock_guard lock{mutex_};
    reservations.push_back(bytes);
    if (reservations.size() > refuse_from) {
      refusal = refusal_given;
      return std::nullopt;
    }
    auto granted = credit::acquire(window, bytes);
    if (!granted)
      refusal = {429, "memory", 2};
    return granted;
  }

  std::uint64_t in_flight_bytes() const override { return window->granted().bytes; }

  void accept(ingest_body body) override {
    std::lock_guard lock{mutex_};
    ++accepted_;
    if (hold) {
      held_.push_back(std::move(body));
    } else {
      seen_.emplace_back(body.bytes->view());
      respond(body);
    }
    changed_.notify_all();
  }

  std::shared_ptr<const sender> authenticate(std::string_view token) const override {
    const auto known = senders_.find(std::string{token});
    return known == senders_.end() ? nullptr : known->second;
  }

  /// Waits until that many bodies came in all; false if they do not.
  bool wait_for(std::size_t bodies) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{20}, [&] { return accepted_ >= bodies; });
  }

  /// Takes a held body out; its number counts from the oldest held.
  ingest_body take(std::size_t which = 0) {
    std::lock_guard lock{mutex_};
    auto body = std::move(held_.at(which));
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
    return body;
  }

  std::vector<std::string> seen() const {
    std::lock_guard lock{mutex_};
    return seen_;
  }
  std::size_t accepted() const {
    std::lock_guard lock{mutex_};
    return accepted_;
  }
  std::vector<std::uint64_t> reserved() const {
    std::lock_guard lock{mutex_};
    return reservations;
  }

  static void respond(const ingest_body& body) {
    ingest_answer answer;
    answer.body = "{\"bytes\":" + std::to_string(body.bytes->size()) + "}\n";
    answer.events = 1;
    body.respond(std::move(answer));
  }

  std::shared_ptr<credit_window> window = std::make_shared<credit_window>(credit_window::limits{256u << 20, 10'000});
  // Set by a test while the source's threads look at them.
  static constexpr std::size_t never = ~std::size_t{0};
  std::atomic<bool> hold{false};
  std::atomic<std::size_t> refuse_from{never}; ///< Reservations granted before the first refusal.
  ingest_refusal refusal_given{429, "tenant_share", 3};
  std::vector<std::uint64_t> reservations;

 private:
  static constexpr std::uint32_t accounts_only = 2;

  std::map<std::string, std::shared_ptr<const sender>> senders_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t accepted_ = 0;
  std::vector<ingest_body> held_;
  std::vector<std::string> seen_;
};

} // namespace weir
