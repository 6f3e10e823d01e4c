#include "actors/destinations/file_network.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "actors/destinations/file_upload.hpp"

namespace weir {

namespace {

class file_network : public network {
 public:
  file_network(file_settings settings, std::shared_ptr<weir::disk> disk, std::shared_ptr<network_counters> counters)
      : settings_(std::move(settings)), disk_(std::move(disk)), counters_(std::move(counters)) {
    const auto threads = std::max<std::uint32_t>(settings_.threads, 1);
    for (std::uint32_t i = 0; i < threads; ++i)
      pool_.emplace_back([this] { work(); });
  }

  ~file_network() override {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      stopping_ = true;
      for (auto& [id, x] : uploads_) {
        x->cancelled = "this node shuts down";
        schedule(id, *x);
      }
    }
    wake_.notify_all();
    for (auto& thread : pool_)
      thread.join();
  }

  void start(std::uint64_t upload, upload_order order, std::shared_ptr<upload_listener> listener) override {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      auto x = std::make_shared<entry>();
      x->order = std::move(order);
      x->listener = std::move(listener);
      x->deadline = now() + x->order.whole_timeout;
      if (uploads_.emplace(upload, x).second) {
        schedule(upload, *x);
      } else {
        x->cancelled = "the number of this upload is in use";
        rejected_.emplace_back(upload, std::move(x));
      }
    }
    wake_.notify_one();
  }

  void supply(std::uint64_t upload, std::string window, bool last) override {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      const auto found = uploads_.find(upload);
      if (found == uploads_.end())
        return; // It ended while the window was on its way.
      found->second->windows.push_back({std::move(window), last});
      schedule(upload, *found->second);
    }
    wake_.notify_one();
  }

  void cancel(std::uint64_t upload) override {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      const auto found = uploads_.find(upload);
      if (found == uploads_.end())
        return;
      found->second->cancelled = "cancelled";
      schedule(upload, *found->second);
    }
    wake_.notify_one();
  }

 private:
  using time_point = std::chrono::steady_clock::time_point;
  using lock = std::unique_lock<std::mutex>;

  struct window {
    std::string bytes;
    bool last;
  };

  struct entry {
    upload_order order;
    std::shared_ptr<upload_listener> listener;
    time_point deadline;
    std::unique_ptr<file_upload> file; ///< Null until begun.
    std::deque<window> windows;
    std::string cancelled;  ///< Why, if it is.
    bool scheduled = false; ///< Stands in `ready_`, or a thread has it.
    bool sealing = false;   ///< Waits for its directory: too late to be cancelled.
  };
  using entry_ptr = std::shared_ptr<entry>;
  using batch = std::vector<std::pair<std::uint64_t, entry_ptr>>;

  /// A sync takes about as long, so that at most half of the time goes into waiting for one.
  static constexpr std::chrono::milliseconds group_time{10};

  static time_point now() { return std::chrono::steady_clock::now(); }

  bool has_work(const entry& x) const { return !x.file || !x.windows.empty() || !x.cancelled.empty(); }

  void schedule(std::uint64_t id, entry& x) {
    if (x.scheduled || x.sealing)
      return;
    x.scheduled = true;
    ready_.push_back(id);
  }

  void work() {
    lock hold(mutex_);
    for (;;) {
      expire_late();
      if (!rejected_.empty()) {
        auto [id, x] = std::move(rejected_.back());
        rejected_.pop_back();
        unlocked(hold, [&] { finish(id, *x, failure(x->cancelled)); });
      } else if (should_seal()) {
        seal_some(hold);
      } else if (!ready_.empty()) {
        const auto id = ready_.front();
        ready_.pop_front();
        advance(hold, id);
      } else if (stopping_ && uploads_.empty()) {
        wake_.notify_all();
        return;
      } else {
        wait(hold);
      }
    }
  }

  template <class F>
  static void unlocked(lock& hold, F&& f) {
    hold.unlock();
    f();
    hold.lock();
  }

  /// While there is other work a group grows, but nobody waits for it for longer than its time.
  bool should_seal() const {
    if (to_seal_.empty() || sealing_)
      return false;
    return ready_.empty() || now() - group_began_ >= group_time;
  }

  /// Syncs the directories of all files that are waiting for that, each once. One thread at a
  /// time: meanwhile the others make the next group, so the busier it is the larger the groups.
  void seal_some(lock& hold) {
    sealing_ = true;
    auto groups = std::move(to_seal_);
    to_seal_.clear();
    unlocked(hold, [&] {
      for (auto& [directory, group] : groups) {
        ++counters_->directory_syncs;
        const auto error = disk_->sync_directory(directory);
        for (auto& [id, x] : group)
          x->file->seal(error);
      }
    });
    for (auto& [directory, group] : groups) {
      for (auto& [id, x] : group)
        uploads_.erase(id);
    }
    unlocked(hold, [&] {
      for (auto& [directory, group] : groups) {
        for (auto& [id, x] : group)
          finish(id, *x, x->file->outcome());
      }
    });
    sealing_ = false;
    wake_.notify_all();
  }

  /// One step of one upload: opens it, or writes one window, or ends it.
  void advance(lock& hold, std::uint64_t id) {
    const auto x = uploads_.at(id);
    if (!x->cancelled.empty()) {
      end(hold, id, x, failure(x->cancelled));
      return;
    }
    window next{{}, false};
    const auto begun = x->file != nullptr;
    if (begun) {
      next = std::move(x->windows.front());
      x->windows.pop_front();
    }
    auto step = file_upload::step::finished;
    auto outcome = upload_outcome{};
    unlocked(hold, [&] {
      if (!begun) {
        outcome = open(*x, step);
      } else {
        const auto before = x->file->written();
        step = x->file->write(next.bytes, next.last);
        counters_->bytes += x->file->written() - before;
        outcome = x->file->outcome();
      }
    });
    if (step == file_upload::step::finished) {
      end(hold, id, x, std::move(outcome));
    } else if (step == file_upload::step::needs_directory) {
      x->sealing = true;
      if (to_seal_.empty())
        group_began_ = now();
      to_seal_[x->file->directory()].emplace_back(id, x);
      wake_.notify_one();
    } else {
      unlocked(hold, [&] {
        if (!next.last)
          x->listener->on_wants_window(id);
      });
      x->scheduled = false;
      if (has_work(*x))
        schedule(id, *x);
    }
  }

  upload_outcome open(entry& x, file_upload::step& step) {
    ++counters_->started;
    std::string why;
    const auto target = parse_file_target(x.order.url, settings_, why);
    if (!target) {
      ++counters_->egress_blocked;
      upload_outcome outcome;
      outcome.result = upload_result::refused;
      outcome.error = std::move(why);
      return outcome;
    }
    x.file = std::make_unique<file_upload>(*target, x.order.length, *disk_);
    step = x.file->begin();
    return x.file->outcome();
  }

  void end(lock& hold, std::uint64_t id, const entry_ptr& x, upload_outcome outcome) {
    uploads_.erase(id);
    unlocked(hold, [&] {
      x->file.reset(); // Before the listener hears of it: the repeat uses the same temporary name.
      finish(id, *x, std::move(outcome));
    });
    if (stopping_)
      wake_.notify_all();
  }

  void finish(std::uint64_t id, entry& x, upload_outcome outcome) {
    counters_->count(outcome.result);
    x.listener->on_finished(id, std::move(outcome));
  }

  static upload_outcome failure(std::string why) {
    upload_outcome outcome;
    outcome.result = upload_result::failed;
    outcome.error = std::move(why);
    return outcome;
  }

  /// Ends uploads whose windows never came; looks at most every tenth of a second.
  void expire_late() {
    const auto time = now();
    if (time < next_expiry_)
      return;
    next_expiry_ = time + std::chrono::milliseconds{100};
    for (auto& [id, x] : uploads_) {
      if (x->deadline <= time && !x->scheduled && !x->sealing) {
        x->cancelled = "not finished within its time";
        schedule(id, *x);
      }
    }
  }

  void wait(lock& hold) {
    auto until = time_point::max();
    for (const auto& [id, x] : uploads_) {
      if (!x->scheduled && !x->sealing)
        until = std::min(until, std::max(x->deadline, next_expiry_));
    }
    if (until == time_point::max())
      wake_.wait(hold);
    else
      wake_.wait_until(hold, until);
  }

  file_settings settings_;
  std::shared_ptr<weir::disk> disk_;
  std::shared_ptr<network_counters> counters_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::unordered_map<std::uint64_t, entry_ptr> uploads_;
  std::deque<std::uint64_t> ready_;
  batch rejected_;
  std::unordered_map<std::string, batch> to_seal_; ///< By directory.
  bool sealing_ = false;                           ///< A thread is syncing directories.
  time_point group_began_{};                       ///< Of the first in `to_seal_`.
  bool stopping_ = false;
  time_point next_expiry_{};
  std::vector<std::thread> pool_;
};

} // namespace

std::shared_ptr<network> make_file_network(file_settings settings, std::shared_ptr<weir::disk> disk,
                                           std::shared_ptr<network_counters> counters) {
  return std::make_shared<file_network>(std::move(settings), std::move(disk), std::move(counters));
}

} // namespace weir
