#include "actors/destinations/routing_network.hpp"

#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>

namespace weir {

namespace {

/// Which uploads go to files. Outlives the networks' threads through the listeners.
struct file_uploads {
  std::mutex mutex;
  std::unordered_set<std::uint64_t> running;

  bool contain(std::uint64_t upload) {
    const std::lock_guard<std::mutex> hold(mutex);
    return running.count(upload) != 0;
  }
};

/// Passes everything on, and notes the end before it does: the number may be used again then.
class noting_listener : public upload_listener {
 public:
  noting_listener(std::shared_ptr<file_uploads> files, std::shared_ptr<upload_listener> next)
      : files_(std::move(files)), next_(std::move(next)) {}

  void on_wants_window(std::uint64_t upload) override { next_->on_wants_window(upload); }

  void on_finished(std::uint64_t upload, upload_outcome outcome) override {
    {
      const std::lock_guard<std::mutex> hold(files_->mutex);
      files_->running.erase(upload);
    }
    next_->on_finished(upload, std::move(outcome));
  }

 private:
  std::shared_ptr<file_uploads> files_;
  std::shared_ptr<upload_listener> next_;
};

class routing_network : public network {
 public:
  routing_network(std::shared_ptr<network> web, std::shared_ptr<network> files)
      : web_(std::move(web)), files_(std::move(files)) {}

  void start(std::uint64_t upload, upload_order order, std::shared_ptr<upload_listener> listener) override {
    if (order.url.compare(0, 7, "file://") != 0) {
      web_->start(upload, std::move(order), std::move(listener));
      return;
    }
    {
      const std::lock_guard<std::mutex> hold(to_files_->mutex);
      to_files_->running.insert(upload);
    }
    files_->start(upload, std::move(order), std::make_shared<noting_listener>(to_files_, std::move(listener)));
  }

  void supply(std::uint64_t upload, std::string window, bool last) override {
    way_of(upload).supply(upload, std::move(window), last);
  }

  void cancel(std::uint64_t upload) override { way_of(upload).cancel(upload); }

 private:
  network& way_of(std::uint64_t upload) { return to_files_->contain(upload) ? *files_ : *web_; }

  std::shared_ptr<file_uploads> to_files_ = std::make_shared<file_uploads>();
  std::shared_ptr<network> web_;
  std::shared_ptr<network> files_;
};

} // namespace

std::shared_ptr<network> make_network(network_settings settings, std::shared_ptr<weir::disk> disk,
                                      std::shared_ptr<network_counters> counters) {
  auto web = make_curl_network(std::move(settings.http), counters);
  auto files = make_file_network(std::move(settings.files), std::move(disk), std::move(counters));
  return std::make_shared<routing_network>(std::move(web), std::move(files));
}

} // namespace weir
