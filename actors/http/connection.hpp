#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "actors/http/answer.hpp"
#include "actors/http/chunked.hpp"
#include "actors/http/head.hpp"
#include "actors/http/io_thread.hpp"
#include "actors/http/listener_settings.hpp"
#include "actors/http/stream.hpp"
#include "telemetry/http_metrics.hpp"

namespace weir::http {

/// What a listener shares with all its connections.
struct listener_state {
  listener_state(connection_settings limits, http_metrics& counted) : settings(limits), metrics(counted) {}

  const connection_settings settings;
  http_metrics& metrics;
  std::atomic<bool> draining{false};
  std::atomic<std::int64_t> under_way{0}; ///< Requests read, but not yet answered.
  std::function<void()> on_quiet;         ///< Called when `under_way` falls to 0 while draining; any thread.
};

/// One HTTP/1.1 connection of a server: heads, the framing of bodies, answers in order, deadlines, and an end
/// that lets the client read its last answer. What requests mean is the derived class's.
///
/// Everything runs on the connection's own thread, except what says otherwise.
class connection : public std::enable_shared_from_this<connection> {
 public:
  using time = std::chrono::steady_clock::time_point;
  using slot_id = std::uint64_t;

  connection(std::shared_ptr<io_thread> thread, tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
             std::shared_ptr<listener_state> listener, std::shared_ptr<void> lease);
  virtual ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void start();
  /// Ends what has missed its deadline.
  void sweep(time now);
  void close();

 protected:
  /// A request begins. The derived class answers it, at once or later, and either reads its body to the end and
  /// calls `request_read`, or calls `refuse`.
  virtual void on_head(request_head head, slot_id slot) = 0;
  /// `await_body` ended: `placed` bytes were put where it said, or some came that `take_body` gives.
  virtual void on_body(std::size_t placed) = 0;
  /// The connection ended within a body: let go of it.
  virtual void on_body_lost() {}

  struct taken {
    enum class kind {
      data, ///< `bytes` were placed.
      wait, ///< Nothing has come: `await_body`.
      end,  ///< The body was complete before.
      bad,  ///< Its framing is broken: `fail_framing` has to follow.
    } what = kind::wait;
    std::size_t bytes = 0;
  };
  /// Body bytes, without their framing, that have been read already. `room` must not be empty.
  taken take_body(asio::mutable_buffer room);
  /// Reads on, straight into `room` where possible, so that large bodies are not copied. Ends with `on_body`.
  void await_body(asio::mutable_buffer room);

  /// From here on the node owes the answer: its delay is measured, and bounded.
  void mark_waiting();
  /// The body was read to its end; its answer may be outstanding. The next request may come.
  void request_read();
  /// Answers instead of reading (the rest of) the body. The connection is kept if the rest is known to be small.
  void refuse(slot_id slot, const problem& why);
  void refuse(slot_id slot, const problem& why, answer with);
  /// The framing is broken: nothing behind it on this connection can be trusted.
  void fail_framing(slot_id slot);
  /// From this thread. A slot that is answered already, or gone, is ignored.
  void respond(slot_id slot, const answer& x);
  /// A responder for any thread, at any time, even after the connection or its listener is gone.
  std::function<void(answer)> responder(slot_id slot);

  void count(http_trouble reason);
  time now() const { return thread_->now(); }
  io_thread& thread() noexcept { return *thread_; }
  bool draining() const noexcept { return listener_->draining.load(std::memory_order_relaxed); }
  http_metrics& metrics() noexcept { return listener_->metrics; }
  bool closed() const noexcept { return phase_ == phase::closed; }
  /// Runs `f` on this thread after other connections had their turn.
  template <class F>
  void later(F&& f) {
    asio::post(thread_->loop(), [self = shared_from_this(), f = std::forward<F>(f)]() mutable {
      if (!self->closed())
        f();
    });
  }

 private:
  /// What the reading side does.
  enum class phase { handshake, idle, head, body, discard, paused, ended, lingering, closed };

  struct slot {
    std::string bytes;
    bool ready = false;
    bool close = false;
    bool without_body = false;
    std::optional<time> waiting_since; ///< The node has the whole request.
    int status = 0;
  };

  void handshake();
  void read_head();
  bool parse_head();
  void begin_body(const request_head& head);
  void bytes_read(error_code ec, std::size_t count);
  void body_read(error_code ec, std::size_t count, bool placed);
  bool read_ended(error_code ec);
  void discard_rest();
  void end_reading();
  void reading_failed(error_code ec);

  slot* find(slot_id id);
  void answer_slot(slot_id id, const answer& x, bool close_after);
  void write_ready();
  void written(error_code ec, std::size_t bytes, std::size_t answered, bool last);
  void release_slots(std::size_t count);
  void lose_body();
  void linger();
  void linger_read();

  void enter(phase next);
  bool body_too_slow(time now);
  void miss(http_trouble reason);

  std::shared_ptr<io_thread> thread_;
  std::shared_ptr<listener_state> listener_;
  std::shared_ptr<void> lease_;
  stream stream_;

  phase phase_ = phase::idle;
  time phase_since_;
  bool keep_alive_ = true;

  // Bytes read and not yet used: [begin_, end_) of buffer_. A head must fit in it.
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t looked_at_ = 0; ///< Of the head, for the search of its end.

  // A read that is under way may still write to where it was told to: a body that is lost meanwhile must be kept
  // until the read has ended.
  bool read_pending_ = false;
  bool body_lost_ = false;

  // The framing of the current body.
  bool chunked_ = false;
  std::uint64_t length_left_ = 0;
  chunk_reader chunks_;
  bool interim_wanted_ = false; ///< 100 Continue has to be written before the body can come.
  std::uint64_t window_bytes_ = 0;
  time window_since_;

  std::deque<slot> slots_;
  slot_id first_slot_ = 0; ///< Of slots_.front().
  slot_id current_slot_ = 0;
  bool writing_ = false;
  time writing_since_;
  std::string out_;
};

} // namespace weir::http
