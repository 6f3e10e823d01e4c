#include "actors/destinations/curl_network.hpp"

#include <algorithm>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/destinations/curl_transfer.hpp"
#include "actors/destinations/request_checks.hpp"

namespace weir {

namespace {

using time_point = curl_transfer::time_point;

class curl_network : public network {
 public:
  curl_network(http_settings settings, std::shared_ptr<network_counters> counters)
      : settings_(std::move(settings)), counters_(std::move(counters)), multi_(curl_multi_init()) {
    if (multi_ == nullptr)
      throw std::runtime_error("libcurl cannot be initialised");
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(settings_.connections_per_host));
    curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(settings_.connections));
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(settings_.connections));
    loop_ = std::thread([this] { run(); });
  }

  ~curl_network() override {
    post({command_kind::stop, 0, {}, {}, {}, false});
    loop_.join();
    curl_multi_cleanup(multi_);
  }

  void start(std::uint64_t upload, upload_order order, std::shared_ptr<upload_listener> listener) override {
    post({command_kind::start,
          upload,
          std::make_unique<upload_order>(std::move(order)),
          std::move(listener),
          {},
          false});
  }

  void supply(std::uint64_t upload, std::string window, bool last) override {
    post({command_kind::supply, upload, {}, {}, std::move(window), last});
  }

  void cancel(std::uint64_t upload) override { post({command_kind::cancel, upload, {}, {}, {}, false}); }

 private:
  enum class command_kind : std::uint8_t { start, supply, cancel, stop };

  struct command {
    command_kind kind;
    std::uint64_t upload;
    std::unique_ptr<upload_order> order;
    std::shared_ptr<upload_listener> listener;
    std::string window;
    bool last;
  };

  void post(command what) {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      commands_.push_back(std::move(what));
    }
    curl_multi_wakeup(multi_);
  }

  void run() {
    // Neither libcurl nor OpenSSL may end the process by writing to a connection the other side closed.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    for (obey(); !stopping_; obey()) {
      int running = 0;
      curl_multi_perform(multi_, &running);
      collect();
      end_overdue();
      curl_multi_poll(multi_, nullptr, 0, wait_ms(), nullptr);
    }
    while (!transfers_.empty()) {
      auto& x = *transfers_.begin()->second;
      end(x.id(), x.outcome_of_failure("this node shuts down"));
    }
  }

  void obey() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      obeying_.swap(commands_);
    }
    for (auto& x : obeying_)
      obey(x);
    obeying_.clear();
  }

  void obey(command& x) {
    if (x.kind == command_kind::stop) {
      stopping_ = true;
      return;
    }
    if (x.kind == command_kind::start) {
      begin(x);
      return;
    }
    const auto found = transfers_.find(x.upload);
    if (found == transfers_.end())
      return; // It ended while the window was on its way.
    auto& transfer = *found->second;
    if (x.kind == command_kind::cancel) {
      end(x.upload, transfer.outcome_of_failure("cancelled"));
      return;
    }
    transfer.supply(std::move(x.window), x.last);
    if (const auto trouble = transfer.local_trouble())
      end(x.upload, transfer.outcome_of_failure(*trouble));
  }

  void begin(command& x) {
    ++counters_->started;
    if (auto why = refuse_request(*x.order)) {
      upload_outcome outcome;
      outcome.result = upload_result::refused;
      outcome.error = std::move(*why);
      tell(*x.listener, x.upload, std::move(outcome));
      return;
    }
    auto transfer = std::make_unique<curl_transfer>(x.upload, std::move(*x.order), x.listener, now());
    if (transfers_.count(x.upload) != 0) {
      tell(*x.listener, x.upload, transfer->outcome_of_failure("the number of this upload is in use"));
      return;
    }
    if (!transfer->prepare(settings_, *counters_) || curl_multi_add_handle(multi_, transfer->handle()) != CURLM_OK) {
      tell(*x.listener, x.upload, transfer->outcome_of_failure("libcurl does not take the request"));
      return;
    }
    transfers_.emplace(x.upload, std::move(transfer));
  }

  void collect() {
    int left = 0;
    while (const auto* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE)
        continue;
      curl_transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      const auto code = message->data.result; // `message` is gone with the next call.
      if (!transfer->starts_over(code) || !put_back(*transfer))
        end(transfer->id(), transfer->outcome_of(code, settings_));
    }
  }

  bool put_back(curl_transfer& transfer) {
    return curl_multi_remove_handle(multi_, transfer.handle()) == CURLM_OK
           && curl_multi_add_handle(multi_, transfer.handle()) == CURLM_OK;
  }

  void end_overdue() {
    std::vector<std::pair<std::uint64_t, std::string>> late;
    const auto time = now();
    for (auto& [id, transfer] : transfers_) {
      if (auto why = transfer->overdue(time))
        late.emplace_back(id, std::move(*why));
    }
    for (auto& [id, why] : late)
      end(id, transfers_.at(id)->outcome_of_failure(std::move(why)));
  }

  int wait_ms() const {
    auto until = now() + std::chrono::seconds{1};
    for (const auto& [id, transfer] : transfers_)
      until = std::min(until, transfer->deadline());
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - now()).count();
    return static_cast<int>(std::max<std::int64_t>(ms, 0));
  }

  void end(std::uint64_t id, upload_outcome outcome) {
    const auto found = transfers_.find(id);
    const auto transfer = std::move(found->second);
    transfers_.erase(found);
    curl_multi_remove_handle(multi_, transfer->handle());
    tell(*transfer->listener(), id, std::move(outcome));
  }

  void tell(upload_listener& listener, std::uint64_t id, upload_outcome outcome) {
    counters_->count(outcome.result);
    listener.on_finished(id, std::move(outcome));
  }

  static time_point now() { return std::chrono::steady_clock::now(); }

  http_settings settings_;
  std::shared_ptr<network_counters> counters_;
  CURLM* multi_;
  std::mutex mutex_;
  std::vector<command> commands_;
  // From here on the loop's own.
  std::vector<command> obeying_;
  std::unordered_map<std::uint64_t, std::unique_ptr<curl_transfer>> transfers_;
  bool stopping_ = false;
  std::thread loop_;
};

} // namespace

std::shared_ptr<network> make_curl_network(http_settings settings, std::shared_ptr<network_counters> counters) {
  // Once a process, and never undone: other threads may use libcurl to the end.
  static const auto initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK)
    throw std::runtime_error("libcurl cannot be initialised");
  return std::make_shared<curl_network>(std::move(settings), std::move(counters));
}

} // namespace weir
