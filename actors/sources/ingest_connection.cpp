#include "actors/sources/ingest_connection.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

#include "actors/http/bearer.hpp"
#include "actors/sources/ingest_request.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using http::problem;

/// Bytes of a packed body that are read at a time.
constexpr std::size_t wire_buffer_bytes = 64u << 10;

/// For the turn of a body while others have theirs; then the sender is asked to come again.
constexpr std::chrono::seconds turn_within{2};
constexpr std::chrono::milliseconds turn_look{250}; ///< As `fair_turns::settings::reading_patience`.

int whole_seconds(std::chrono::nanoseconds wait) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait + std::chrono::seconds{1}).count();
  return static_cast<int>(std::clamp<std::int64_t>(seconds, 1, 3'600));
}

http::answer to_http(ingest_answer x) {
  http::answer result;
  result.status = x.status;
  result.body = std::move(x.body);
  result.retry_after_seconds = x.retry_after_seconds;
  return result;
}

class ingest_connection : public http::connection {
 public:
  ingest_connection(http::listener::accepted accepted, std::shared_ptr<ingest_service> service)
      : connection(std::move(accepted.thread), std::move(accepted.socket), std::move(accepted.tls),
                   std::move(accepted.state), std::move(accepted.lease)),
        service_(std::move(service)) {}

 private:
  void on_head(http::request_head head, slot_id slot) override {
    slot_ = slot;
    if (const auto fault = admit(head))
      return turn_away(*fault);
    await_turn();
  }

  void on_body(std::size_t placed) override {
    if (builder_->encoding() == body_encoding::identity)
      builder_->filled(placed);
    else
      wire_left_ = {wire_.get(), placed};
    read_on();
  }

  void on_body_lost() override { end_body(); }

  /// Everything that can be said against a body before it is read; on success it has its memory.
  std::optional<body_fault> admit(const http::request_head& head) {
    if (draining())
      return body_fault{{503, http_trouble::draining, "shutting_down", "this node is shutting down; try again"}, 1};
    auto read = read_ingest_request(head);
    if (const auto* fault = std::get_if<problem>(&read))
      return body_fault{*fault, 0};
    request_ = std::get<ingest_request>(std::move(read));
    const auto token = http::bearer_token(head);
    const auto from = token ? service_->gate->authenticate(*token) : nullptr;
    if (!from)
      return body_fault{{401, http_trouble::unauthorized, "unauthorized",
                         "send Authorization: Bearer with a token that has the right ingest"},
                        0};
    if (auto fault = admit_sender(*from))
      return fault;
    const auto dataset = service_->gate->dataset(request_.dataset);
    if (!dataset)
      return body_fault{{404, http_trouble::not_found, "unknown_dataset", "the node has no dataset of this name"}, 0};
    dataset_ = *dataset;
    if (!request_.scope.empty() && !service_->gate->fits(dataset_, request_.scope))
      return body_fault{{400, http_trouble::bad_request, "bad_scope",
                         "the dataset has zones where the query names an account, or the other way round"},
                        0};
    if (!request_.scope.empty() && !service_->gate->may_send_for(*from, request_.scope))
      return body_fault{{403, http_trouble::scope_forbidden, "scope_forbidden",
                         "the token may not send for the scope that the query names"},
                        0};
    builder_.emplace(*service_->gate, from, service_->limits, request_.encoding, head.content_length);
    return builder_->admissible();
  }

  /// A fault that is known before anything of the body was read.
  void turn_away(const body_fault& fault) {
    auto with = http::error_answer(fault.why);
    with.retry_after_seconds = fault.retry_after_seconds;
    if (fault.why.status == 405)
      with.allow = "POST";
    end_body();
    refuse(slot_, fault.why, std::move(with));
  }

  /// The body stays unread in the kernel until it is its sender's turn.
  void await_turn() {
    turn_ = service_->turns->ask(
        builder_->from()->token, builder_->first_reservation(),
        [self = weak_from_this(), thread = std::weak_ptr<http::io_thread>{thread().shared_from_this()},
         slot = slot_](fair_turns::turn_ptr given) {
          if (const auto alive = thread.lock())
            http::asio::post(alive->loop(), [self, slot, given = std::move(given)]() mutable {
              if (const auto locked = std::static_pointer_cast<ingest_connection>(self.lock()))
                locked->turn_came(slot, std::move(given));
            });
        },
        waits_);
    if (turn_)
      return begin();
    turn_asked_ = now();
    look_for_turn();
  }

  void look_for_turn() {
    turn_timer_.expires_after(turn_look);
    turn_timer_.async_wait([self = weak_from_this(), slot = slot_](http::error_code ec) {
      const auto locked = std::static_pointer_cast<ingest_connection>(self.lock());
      if (!locked || ec || locked->closed() || slot != locked->slot_ || locked->waits_ == 0)
        return;
      if (locked->now() - locked->turn_asked_ >= turn_within)
        return locked->turn_missed(slot);
      locked->service_->turns->look_again();
      locked->look_for_turn();
    });
  }

  void turn_came(slot_id slot, fair_turns::turn_ptr given) {
    if (closed() || slot != slot_ || waits_ == 0)
      return; // it was given up meanwhile; the turn goes back
    waits_ = 0;
    turn_timer_.cancel();
    turn_ = std::move(given);
    begin();
  }

  void turn_missed(slot_id slot) {
    if (closed() || slot != slot_ || waits_ == 0 || !service_->turns->withdraw(waits_))
      return; // its turn came, or is on the way
    waits_ = 0;
    turn_away(
        {{429, http_trouble::refused, "busy", "the node takes no more events now (turn); send the same again later"},
         1});
  }

  void begin() {
    if (const auto fault = builder_->begin())
      return turn_away(*fault);
    read_on();
  }

  std::optional<body_fault> admit_sender(const sender& from) {
    if (from.token != counted_token_ || !token_lease_) {
      token_lease_ = service_->tokens->admit(from.token);
      counted_token_ = from.token;
      if (!token_lease_)
        return body_fault{{429, http_trouble::token_limit, "too_many_connections",
                           "this token has too many connections; use fewer, and keep them open"},
                          1};
    }
    if (const auto wait = service_->rates.admit(from.token, now()))
      return body_fault{{429, http_trouble::rate, "rate", "this token sends more than it may; slow down"},
                        whole_seconds(*wait)};
    return std::nullopt;
  }

  void read_on() {
    if (!builder_)
      return; // lost while others had their turn
    if (builder_->encoding() == body_encoding::identity)
      read_plain();
    else
      read_packed();
  }

  void read_plain() {
    for (;;) {
      body_builder::space room;
      if (auto fault = builder_->room(room))
        return give_up(*fault);
      const auto got = take_body({room.data, room.size});
      switch (got.what) {
        case taken::kind::data:
          builder_->filled(got.bytes);
          break;
        case taken::kind::wait:
          return await_body({room.data, room.size});
        case taken::kind::end:
          return finish();
        case taken::kind::bad:
          return framing_broken();
      }
    }
  }

  void read_packed() {
    if (!wire_)
      wire_.reset(new char[wire_buffer_bytes]);
    for (;;) {
      bool idle = false;
      std::size_t consumed = 0;
      if (auto fault = builder_->unpack(wire_left_, consumed, idle))
        return give_up(*fault);
      wire_left_.remove_prefix(consumed);
      if (!idle) {
        // A long body must not keep the other connections of this thread waiting.
        later([this] { read_on(); });
        return;
      }
      const auto got = take_body({wire_.get(), wire_buffer_bytes});
      switch (got.what) {
        case taken::kind::data:
          wire_left_ = {wire_.get(), got.bytes};
          break;
        case taken::kind::wait:
          return await_body({wire_.get(), wire_buffer_bytes});
        case taken::kind::end:
          return finish();
        case taken::kind::bad:
          return framing_broken();
      }
    }
  }

  void give_up(const body_fault& fault) {
    auto with = http::error_answer(fault.why);
    with.retry_after_seconds = fault.retry_after_seconds;
    charge(0);
    end_body();
    refuse(slot_, fault.why, std::move(with));
  }

  void framing_broken() {
    charge(0);
    end_body();
    fail_framing(slot_);
  }

  void finish() {
    std::shared_ptr<payload> bytes;
    if (auto fault = builder_->finish(bytes))
      return give_up(*fault);
    metrics().wire_bytes.Increment(static_cast<double>(builder_->wire_bytes()));
    metrics().body_bytes.Increment(static_cast<double>(bytes->size()));
    service_->rates.charge(builder_->from()->token, bytes->size(), 0, now());
    turn_->weigh(bytes->size());
    ingest_body body;
    body.bytes = std::move(bytes);
    body.dataset = dataset_;
    body.scope = std::move(request_.scope);
    body.from = builder_->from();
    body.idempotency_key = std::move(request_.idempotency_key);
    body.strict = request_.strict;
    body.respond = answerer(builder_->from()->token);
    end_body();
    mark_waiting();
    hand_on(std::move(body));
    request_read();
  }

  void hand_on(ingest_body body) {
    try {
      service_->gate->accept(std::move(body));
    } catch (const std::exception& x) {
      log::error("ingest-gate-failed", "a body could not be handed on: {}", x.what());
      respond(slot_, http::error_answer({503, http_trouble::refused, "not_stored",
                                         "the node could not take this body; send the same again"}));
    }
  }

  std::function<void(ingest_answer)> answerer(std::string token) {
    return [take = responder(slot_), service = std::weak_ptr<ingest_service>{service_}, token = std::move(token),
            clock = thread().clock(), turn = std::move(turn_)](ingest_answer x) {
      turn->answered();
      if (x.events > 0)
        if (const auto alive = service.lock())
          alive->rates.charge(token, 0, x.events, clock->steady());
      take(to_http(std::move(x)));
    };
  }

  /// What came of a body that is not taken counts for the sender's rate all the same.
  void charge(std::uint64_t events) {
    if (!builder_)
      return;
    metrics().wire_bytes.Increment(static_cast<double>(builder_->wire_bytes()));
    service_->rates.charge(builder_->from()->token, std::max(builder_->size(), builder_->wire_bytes()), events, now());
  }

  void end_body() {
    if (const auto waits = std::exchange(waits_, 0); waits != 0) {
      service_->turns->withdraw(waits);
      turn_timer_.cancel();
    }
    turn_.reset();
    builder_.reset();
    wire_.reset();
    wire_left_ = {};
  }

  std::shared_ptr<ingest_service> service_;
  std::string counted_token_;
  std::shared_ptr<void> token_lease_;

  // The body that is being read, or waits for its turn.
  slot_id slot_ = 0;
  fair_turns::turn_ptr turn_;
  fair_turns::waiter_id waits_ = 0;
  std::chrono::steady_clock::time_point turn_asked_{};
  http::asio::steady_timer turn_timer_{thread().loop()};
  ingest_request request_;
  std::uint32_t dataset_ = 0;
  std::optional<body_builder> builder_;
  std::unique_ptr<char[]> wire_;
  std::string_view wire_left_;
};

} // namespace

std::shared_ptr<void> token_census::admit(const std::string& token) {
  std::lock_guard lock{mutex_};
  auto& count = counts_[token];
  if (count >= most_)
    return nullptr;
  ++count;
  return {static_cast<void*>(this), [kept = shared_from_this(), token](void*) {
            std::lock_guard inner{kept->mutex_};
            const auto position = kept->counts_.find(token);
            if (--position->second == 0)
              kept->counts_.erase(position);
          }};
}

std::shared_ptr<http::connection> make_ingest_connection(http::listener::accepted accepted,
                                                         std::shared_ptr<ingest_service> service) {
  return std::make_shared<ingest_connection>(std::move(accepted), std::move(service));
}

} // namespace weir
