#include "actors/http/connection.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::http {

connection::connection(std::shared_ptr<io_thread> thread, tcp::socket socket, std::shared_ptr<asio::ssl::context> tls,
                       std::shared_ptr<listener_state> listener, std::shared_ptr<void> lease)
    : thread_(std::move(thread)),
      listener_(std::move(listener)),
      lease_(std::move(lease)),
      stream_(std::move(socket), std::move(tls)),
      buffer_(new char[listener_->settings.head.bytes]) {
  metrics().connections.Increment();
  metrics().connections_opened.Increment();
}

connection::~connection() {
  metrics().connections.Decrement();
}

void connection::start() {
  error_code ec;
  stream_.socket().set_option(tcp::no_delay{true}, ec); // without it answers wait for acknowledgements
  if (stream_.encrypted())
    handshake();
  else
    read_head();
}

void connection::handshake() {
  enter(phase::handshake);
  stream_.async_handshake([self = shared_from_this()](error_code ec) {
    if (self->closed())
      return;
    if (ec) {
      self->count(http_trouble::tls_handshake);
      self->close();
      return;
    }
    self->read_head();
  });
}

void connection::close() {
  if (closed())
    return;
  const auto self = shared_from_this();
  const bool in_body = phase_ == phase::body;
  enter(phase::closed);
  stream_.close();
  if (in_body)
    lose_body();
  release_slots(slots_.size());
  thread_->forget(this);
}

void connection::count(http_trouble reason) {
  metrics().trouble[reason].Increment();
}

void connection::enter(phase next) {
  phase_ = next;
  phase_since_ = now();
}

// -- heads -----------------------------------------------------------------------------------------------

void connection::read_head() {
  if (closed())
    return;
  if (slots_.size() >= listener_->settings.pipelined) {
    enter(phase::paused); // `written` comes back here
    return;
  }
  if (begin_ == end_)
    begin_ = end_ = 0;
  enter(begin_ == end_ ? phase::idle : phase::head);
  looked_at_ = 0;
  if (parse_head())
    return;
  bytes_read({}, 0);
}

/// True if the buffer decided what comes next: a request was there, or a fault.
bool connection::parse_head() {
  const std::string_view unread{buffer_.get() + begin_, end_ - begin_};
  const auto fail = [&](const problem& why) {
    current_slot_ = first_slot_ + slots_.size();
    slots_.emplace_back();
    listener_->under_way.fetch_add(1);
    metrics().requests_under_way.Increment();
    count(why.reason);
    end_reading();
    answer_slot(current_slot_, error_answer(why), true);
  };
  // Between requests a head is read for at most its limit of bytes, then searched once, by 4 bytes overlapping.
  const auto from = looked_at_ < 3 ? 0 : looked_at_ - 3;
  const auto end = unread.find("\r\n\r\n", from);
  const auto head_bytes = end == std::string_view::npos ? unread.size() : end + 4;
  if (const auto fault = early_fault(unread.substr(0, head_bytes), looked_at_)) {
    fail(*fault);
    return true;
  }
  looked_at_ = head_bytes;
  if (end == std::string_view::npos) {
    if (unread.size() < listener_->settings.head.bytes)
      return false;
    fail({431, http_trouble::head_too_large, "head_too_large", "send fewer or shorter header fields"});
    return true;
  }
  auto parsed = http::read_head(unread.substr(0, head_bytes), listener_->settings.head);
  if (const auto* fault = std::get_if<problem>(&parsed)) {
    fail(*fault);
    return true;
  }
  auto& head = std::get<request_head>(parsed);
  begin_ += head_bytes;
  metrics().requests.Increment();
  current_slot_ = first_slot_ + slots_.size();
  slots_.emplace_back().without_body = head.method == "HEAD";
  listener_->under_way.fetch_add(1);
  metrics().requests_under_way.Increment();
  begin_body(head);
  on_head(std::move(head), current_slot_);
  return true;
}

/// What every read does first when it ends. False: the connection has no further use for it.
bool connection::read_ended(error_code ec) {
  read_pending_ = false;
  if (std::exchange(body_lost_, false))
    on_body_lost();
  if (closed())
    return false;
  if (phase_ == phase::lingering) {
    ec ? close() : linger_read();
    return false;
  }
  if (ec)
    reading_failed(ec);
  return !ec;
}

/// A read for a head ended with `count` more bytes; 0 to begin one.
void connection::bytes_read(error_code ec, std::size_t count) {
  if (!read_ended(ec) || phase_ == phase::ended)
    return;
  if (count > 0) {
    if (phase_ == phase::idle)
      enter(phase::head);
    end_ += count;
    if (parse_head())
      return;
  }
  const auto limit = listener_->settings.head.bytes;
  if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  stream_.read_some({buffer_.get() + end_, limit - end_},
                    [self = shared_from_this()](error_code error, std::size_t n) { self->bytes_read(error, n); });
}

/// The client sends no more, or cannot be read any more.
void connection::reading_failed(error_code ec) {
  const bool within_request = phase_ == phase::head || phase_ == phase::body;
  if (within_request)
    count(http_trouble::client_gone);
  // A client may end its side and still read its answers.
  const bool ended_well = ec == asio::error::eof && !within_request;
  if (!ended_well || slots_.empty()) {
    if (!within_request && !slots_.empty())
      count(http_trouble::client_gone);
    close();
    return;
  }
  end_reading();
  slots_.back().close = true;
}

void connection::end_reading() {
  enter(phase::ended);
}

// -- bodies ----------------------------------------------------------------------------------------------

void connection::begin_body(const request_head& head) {
  chunked_ = head.chunked;
  length_left_ = head.content_length.value_or(0);
  chunks_ = {};
  keep_alive_ = head.keep_alive;
  interim_wanted_ = head.expect_continue && head.has_body();
  window_bytes_ = 0;
  enter(phase::body);
  window_since_ = phase_since_;
}

connection::taken connection::take_body(asio::mutable_buffer room) {
  std::string_view unread{buffer_.get() + begin_, end_ - begin_};
  if (!chunked_) {
    if (length_left_ == 0)
      return {taken::kind::end, 0};
    const auto run = std::min<std::uint64_t>({length_left_, unread.size(), room.size()});
    if (run == 0)
      return {taken::kind::wait, 0};
    std::memcpy(room.data(), unread.data(), run);
    begin_ += run;
    length_left_ -= run;
    return {taken::kind::data, run};
  }
  const auto step = chunks_.next(unread, room.size());
  begin_ += step.consumed;
  if (!step.data.empty()) {
    std::memcpy(room.data(), step.data.data(), step.data.size());
    return {taken::kind::data, step.data.size()};
  }
  switch (chunks_.current()) {
    case chunk_reader::state::finished:
      return {taken::kind::end, 0};
    case chunk_reader::state::bad:
      return {taken::kind::bad, 0};
    case chunk_reader::state::more:
      break;
  }
  return {taken::kind::wait, 0};
}

void connection::await_body(asio::mutable_buffer room) {
  if (interim_wanted_ && begin_ == end_)
    write_ready();
  else
    interim_wanted_ = false; // the body came unasked
  read_pending_ = true;
  const auto self = shared_from_this();
  const auto run = chunked_ ? chunks_.run_left() : length_left_;
  if (begin_ == end_ && run > 0 && room.size() > 0) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(run, room.size()));
    stream_.read_some({room.data(), most}, [self](error_code ec, std::size_t n) { self->body_read(ec, n, true); });
    return;
  }
  if (begin_ == end_)
    begin_ = end_ = 0;
  const auto limit = listener_->settings.head.bytes;
  stream_.read_some({buffer_.get() + end_, limit - end_},
                    [self](error_code ec, std::size_t n) { self->body_read(ec, n, false); });
}

void connection::body_read(error_code ec, std::size_t count, bool placed) {
  if (!read_ended(ec))
    return;
  window_bytes_ += count;
  if (!placed) {
    end_ += count;
  } else if (chunked_) {
    chunks_.took(count);
  } else {
    length_left_ -= count;
  }
  if (phase_ == phase::discard)
    discard_rest();
  else
    on_body(placed ? count : 0);
}

void connection::mark_waiting() {
  if (auto* waiting = find(current_slot_))
    waiting->waiting_since = now();
}

void connection::request_read() {
  if (keep_alive_ && !draining()) {
    read_head();
    return;
  }
  end_reading();
  if (auto* last = find(current_slot_)) {
    last->close = true;
    return;
  }
  linger(); // it was answered, and the answer written, before its body was read
}

void connection::refuse(slot_id slot, const problem& why) {
  refuse(slot, why, error_answer(why));
}

void connection::refuse(slot_id slot, const problem& why, answer with) {
  count(why.reason);
  // With `Expect` the client may or may not send the body after a final answer: it cannot be told apart from
  // the next request.
  const bool passing = why.status == 429 || why.status == 503 || why.status == 507;
  const auto most = passing ? listener_->settings.discard_bytes : listener_->settings.discard_bytes_of_faults;
  const bool known = !chunked_ && length_left_ <= most && !interim_wanted_;
  const bool keep = known && keep_alive_ && !draining();
  interim_wanted_ = false;
  if (!keep) {
    end_reading();
    answer_slot(slot, with, true);
    return;
  }
  enter(phase::discard);
  answer_slot(slot, with, false);
  discard_rest();
}

void connection::discard_rest() {
  if (closed())
    return;
  for (;;) {
    const auto got = take_body(thread_->scratch());
    if (got.what == taken::kind::data)
      continue;
    if (got.what == taken::kind::wait)
      await_body(thread_->scratch());
    else
      request_read();
    return;
  }
}

void connection::fail_framing(slot_id slot) {
  const problem why{400, http_trouble::bad_framing, "bad_framing",
                    "chunks must be a size in hexadecimal digits, CR LF, the data, CR LF, without extensions or "
                    "trailer fields"};
  count(why.reason);
  end_reading();
  answer_slot(slot, error_answer(why), true);
}

// -- answers ---------------------------------------------------------------------------------------------

connection::slot* connection::find(slot_id id) {
  return id >= first_slot_ && id - first_slot_ < slots_.size() ? &slots_[id - first_slot_] : nullptr;
}

void connection::respond(slot_id id, const answer& x) {
  answer_slot(id, x, false);
}

std::function<void(answer)> connection::responder(slot_id id) {
  return [thread = std::weak_ptr<io_thread>{thread_}, self = weak_from_this(), id](answer x) {
    const auto alive = thread.lock();
    if (!alive)
      return;
    asio::post(alive->loop(), [self, id, x = std::move(x)] {
      // The client may be gone, and its connection with it; the answer then has no reader.
      if (const auto locked = self.lock())
        locked->respond(id, x);
    });
  };
}

void connection::answer_slot(slot_id id, const answer& x, bool close_after) {
  auto* target = find(id);
  if (closed() || target == nullptr || target->ready)
    return;
  // Requests behind this one are answered, too, before a connection is closed for its own or the node's sake.
  const bool last = close_after || target->close || (id == current_slot_ && (!keep_alive_ || draining()));
  target->bytes = render(x, last, target->without_body);
  target->status = x.status;
  target->ready = true;
  target->close = last;
  if (target->waiting_since)
    metrics().answer_seconds.Observe(std::chrono::duration<double>(now() - *target->waiting_since).count());
  write_ready();
}

/// Writes, in order, what is ready. One write at a time.
void connection::write_ready() {
  if (writing_ || closed() || phase_ == phase::lingering)
    return;
  out_.clear();
  std::size_t answered = 0;
  bool last = false;
  while (answered < slots_.size() && slots_[answered].ready && !last) {
    out_ += slots_[answered].bytes;
    last = slots_[answered].close;
    ++answered;
  }
  if (interim_wanted_ && !last && first_slot_ + answered == current_slot_ && phase_ == phase::body) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    interim_wanted_ = false;
    window_since_ = now();
  }
  if (out_.empty())
    return;
  writing_ = true;
  writing_since_ = now();
  stream_.write(asio::buffer(out_), [self = shared_from_this(), answered, last](error_code ec, std::size_t n) {
    self->written(ec, n, answered, last);
  });
}

void connection::written(error_code ec, std::size_t, std::size_t answered, bool last) {
  writing_ = false;
  if (closed())
    return;
  if (ec) {
    count(http_trouble::client_gone);
    close();
    return;
  }
  for (std::size_t i = 0; i < answered; ++i) {
    const int status = slots_[i].status;
    (status < 400 ? metrics().answers_2xx : status < 500 ? metrics().answers_4xx : metrics().answers_5xx).Increment();
  }
  release_slots(answered);
  if (last) {
    linger();
    return;
  }
  write_ready();
  if (phase_ == phase::paused)
    read_head();
  else if (phase_ == phase::ended && slots_.empty())
    linger();
}

void connection::release_slots(std::size_t count) {
  if (count == 0)
    return;
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(count));
  first_slot_ += count;
  metrics().requests_under_way.Decrement(static_cast<double>(count));
  const auto left = listener_->under_way.fetch_sub(static_cast<std::int64_t>(count)) - static_cast<std::int64_t>(count);
  if (left == 0 && draining() && listener_->on_quiet)
    listener_->on_quiet();
}

} // namespace weir::http
