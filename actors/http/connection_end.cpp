// How a connection ends: after its last answer, or at a deadline.
#include "actors/http/connection.hpp"

namespace weir::http {

void connection::lose_body() {
  if (read_pending_)
    body_lost_ = true;
  else
    on_body_lost();
}

/// Ends the connection so that the client can still read its last answer: a close with unread bytes would
/// reset it, and with it the answer on its way.
void connection::linger() {
  if (phase_ == phase::lingering || closed())
    return;
  if (stream_.encrypted() && read_pending_) {
    close(); // TLS cannot say goodbye while it reads
    return;
  }
  const bool in_body = phase_ == phase::body;
  enter(phase::lingering);
  if (in_body)
    lose_body();
  if (stream_.encrypted()) {
    stream_.shutdown_write([self = shared_from_this()](error_code) { self->close(); });
    return;
  }
  stream_.shutdown_write();
  if (!read_pending_)
    linger_read();
}

void connection::linger_read() {
  stream_.read_some(thread_->scratch(), [self = shared_from_this()](error_code ec, std::size_t) {
    if (self->closed())
      return;
    if (ec)
      self->close();
    else
      self->linger_read();
  });
}

// -- deadlines -------------------------------------------------------------------------------------------

void connection::miss(http_trouble reason) {
  count(reason);
  close();
}

bool connection::body_too_slow(time at) {
  const auto& settings = listener_->settings;
  if (interim_wanted_ || at - window_since_ < settings.rate_window)
    return false;
  const auto seconds = std::chrono::duration<double>(settings.rate_window).count();
  const bool slow = static_cast<double>(window_bytes_) < static_cast<double>(settings.body_rate) * seconds;
  window_since_ = at;
  window_bytes_ = 0;
  return slow;
}

void connection::sweep(time at) {
  const auto& settings = listener_->settings;
  const auto in_phase = at - phase_since_;
  if (writing_ && at - writing_since_ > settings.write_within)
    return miss(http_trouble::write_deadline);
  switch (phase_) {
    case phase::handshake:
      if (in_phase > settings.handshake_within)
        return miss(http_trouble::tls_handshake);
      break;
    case phase::idle:
      if (slots_.empty() && in_phase > settings.idle_within)
        return miss(http_trouble::idle_deadline);
      break;
    case phase::head:
      if (in_phase > settings.head_within)
        return miss(http_trouble::head_deadline);
      break;
    case phase::body:
    case phase::discard:
      if (in_phase > settings.body_within || body_too_slow(at))
        return miss(http_trouble::body_deadline);
      break;
    case phase::lingering:
      if (in_phase > settings.linger_within)
        return close();
      break;
    case phase::paused:
    case phase::ended:
    case phase::closed:
      break;
  }
  if (!slots_.empty() && !slots_.front().ready && slots_.front().waiting_since
      && at - *slots_.front().waiting_since > settings.answer_within) {
    count(http_trouble::answer_deadline);
    answer_slot(first_slot_,
                error_answer({503, http_trouble::answer_deadline, "no_answer",
                              "the outcome is unknown; send the same again, with the same Idempotency-Key"}),
                true);
  }
}

} // namespace weir::http
