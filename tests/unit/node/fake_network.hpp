#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "messages/environment.hpp"

namespace weir {

/// What a destination does with one upload.
struct verdict_on_upload {
  bool keeps = true;     ///< The object is there afterwards, whatever the answer says.
  bool answers = true;   ///< Else nothing is heard until a timeout or `cancel`.
  upload_outcome answer; ///< `stored` becomes `exists` if the name is taken.
};

namespace says {
inline verdict_on_upload stored() {
  return {true, true, {upload_result::stored, 200, "", {}, ""}};
}
inline verdict_on_upload refused(int status = 400) {
  return {false, true, {upload_result::refused, status, "the destination says no", {}, ""}};
}
inline verdict_on_upload failed(int status = 503) {
  return {false, true, {upload_result::failed, status, "the destination is down", {}, ""}};
}
/// It has the object, but its answer is lost.
inline verdict_on_upload stored_unheard() {
  return {true, true, {upload_result::failed, 0, "connection reset", {}, ""}};
}
inline verdict_on_upload nothing() {
  return {false, false, {}};
}
} // namespace says

/// Destinations in memory, driven by one thread: nothing happens but within `step`. Like `file://` it never
/// overwrites a name; objects stay over a crash of the node. Not thread-safe.
class fake_network final : public network {
 public:
  struct object {
    std::string url;  ///< Its whole address, the name included.
    std::string name; ///< As the node calls it.
    std::string identity;
    std::string bytes;
  };
  struct upload {
    upload_order order;
    std::string bytes;
  };
  /// Asked when the last byte of an upload has come.
  using judge = std::function<verdict_on_upload(const upload&)>;

  explicit fake_network(std::shared_ptr<clock_source> clock) : clock_(std::move(clock)) {}

  void start(std::uint64_t id, upload_order order, std::shared_ptr<upload_listener> listener) override;
  void supply(std::uint64_t id, std::string window, bool last) override;
  void cancel(std::uint64_t id) override;

  /// From now on, whatever goes to a URL that contains `part` is judged so; null: it stores again.
  void behave(const std::string& part, judge how);
  /// The next uploads there are judged by these, one each, before `behave`.
  void then(const std::string& part, std::vector<verdict_on_upload> verdicts);

  /// One step of one upload, chosen by `pick` (any number): asks for a window, or ends it. False if all wait.
  bool step(std::uint64_t pick);
  /// The node is dead: its uploads are forgotten, its listeners never called again.
  void forget();

  /// All objects, in the order they were stored.
  const std::vector<object>& objects() const { return objects_; }
  /// Puts something there that no node pushed.
  void place(object x) { objects_.push_back(std::move(x)); }
  std::size_t running() const { return running_.size(); }
  std::uint64_t started() const { return started_; } ///< Uploads so far.
  std::uint64_t started(const std::string& part) const;
  std::vector<std::string> misuse() const { return misuse_; } ///< What no caller may do; must stay empty.

 private:
  enum class phase : std::uint8_t { wants, waits, complete, silent, cancelled };
  struct under_way {
    upload what;
    std::shared_ptr<upload_listener> listener;
    phase now = phase::wants;
    std::chrono::steady_clock::time_point since;
    std::chrono::steady_clock::time_point moved;
  };

  bool ready(const under_way& x) const;
  verdict_on_upload judge_of(const upload& x);
  void finish(std::uint64_t id, upload_outcome outcome);

  std::shared_ptr<clock_source> clock_;
  std::map<std::uint64_t, under_way> running_;
  std::map<std::string, judge> judges_;
  std::map<std::string, std::deque<verdict_on_upload>> scripts_;
  std::vector<object> objects_;
  std::vector<std::string> urls_;
  std::vector<std::string> misuse_;
  std::uint64_t started_ = 0;
};

} // namespace weir
