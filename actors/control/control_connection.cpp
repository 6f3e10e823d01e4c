#include "actors/control/control_connection.hpp"

#include <array>
#include <exception>
#include <string>

#include "actors/http/bearer.hpp"
#include "telemetry/log.hpp"

namespace weir {

namespace {

using http::problem;

class control_connection : public http::connection {
 public:
  control_connection(http::listener::accepted accepted, std::shared_ptr<const control_service> service)
      : connection(std::move(accepted.thread), std::move(accepted.socket), std::move(accepted.tls),
                   std::move(accepted.state), std::move(accepted.lease)),
        service_(std::move(service)) {}

 private:
  void on_head(http::request_head head, slot_id slot) override {
    slot_ = slot;
    request_ = {};
    handler_ = nullptr;
    http::answer with;
    if (auto fault = admit(head, with.allow)) {
      auto allow = std::move(with.allow);
      with = http::error_answer(*fault);
      with.allow = std::move(allow);
      refuse(slot, *fault, std::move(with));
      return;
    }
    read_on();
  }

  void on_body(std::size_t placed) override {
    request_.body.append(piece_.data(), placed);
    read_on();
  }

  void on_body_lost() override { request_ = {}; }

  std::optional<problem> admit(const http::request_head& head, std::string& allow) {
    const auto where = service_->router.find(head.method, head.path);
    if (const auto* missing = std::get_if<control_router::missing>(&where)) {
      allow = missing->allow;
      if (allow.empty())
        return problem{404, http_trouble::not_found, "not_found", "there is nothing at this path"};
      return problem{405, http_trouble::bad_request, "method_not_allowed", "this path takes " + allow};
    }
    const auto& found = std::get<control_router::found>(where);
    if (auto fault = authorize(head, found.right))
      return fault;
    auto query = http::parse_query(head.query);
    if (!query)
      return problem{400, http_trouble::bad_request, "bad_query",
                     "the query has a bad %XX escape, or one parameter twice"};
    if (head.content_encoding && *head.content_encoding != "identity")
      return problem{415, http_trouble::unsupported_encoding, "unsupported_encoding", "send the body unpacked"};
    if (head.content_length.value_or(0) > service_->max_body_bytes)
      return too_large();
    handler_ = found.handler;
    request_.method = head.method == "HEAD" ? "GET" : head.method;
    request_.path = head.path;
    request_.captures = found.captures;
    request_.query = *std::move(query);
    return std::nullopt;
  }

  std::optional<problem> authorize(const http::request_head& head, control_right right) {
    const bool open = right == control_right::none || (right == control_right::loopback && service_->on_loopback);
    const auto token = http::bearer_token(head);
    auto caller = token ? service_->authenticate(*token) : nullptr;
    if (open) {
      request_.caller = caller ? std::move(caller) : std::make_shared<control_caller>();
      return std::nullopt;
    }
    if (!caller)
      return problem{401, http_trouble::unauthorized, "unauthorized",
                     "send Authorization: Bearer with a token that has the right " + std::string{name_of(right)}};
    if (!caller->may(right))
      return problem{403, http_trouble::unauthorized, "forbidden",
                     "the token has not the right " + std::string{name_of(right)}};
    request_.caller = std::move(caller);
    return std::nullopt;
  }

  problem too_large() const {
    return {413, http_trouble::body_too_large, "body_too_large",
            "a body has at most " + std::to_string(service_->max_body_bytes) + " bytes here"};
  }

  void read_on() {
    for (;;) {
      if (request_.body.size() > service_->max_body_bytes)
        return refuse(slot_, too_large());
      const auto got = take_body(asio_buffer());
      switch (got.what) {
        case taken::kind::data:
          request_.body.append(piece_.data(), got.bytes);
          break;
        case taken::kind::wait:
          return await_body(asio_buffer());
        case taken::kind::end:
          return handle();
        case taken::kind::bad:
          return fail_framing(slot_);
      }
    }
  }

  void handle() {
    metrics().wire_bytes.Increment(static_cast<double>(request_.body.size()));
    metrics().body_bytes.Increment(static_cast<double>(request_.body.size()));
    mark_waiting();
    const auto slot = slot_;
    try {
      (*handler_)(std::move(request_), responder(slot));
    } catch (const std::exception& x) {
      log::error("control-handler-failed", "a handler of the control endpoint threw: {}", x.what());
      respond(slot, http::error_answer(
                        {500, http_trouble::refused, "internal", "the node could not answer; its log says why"}));
    }
    request_read();
  }

  boost::asio::mutable_buffer asio_buffer() noexcept { return {piece_.data(), piece_.size()}; }

  std::shared_ptr<const control_service> service_;
  slot_id slot_ = 0;
  control_request request_;
  const control_handler* handler_ = nullptr;
  std::array<char, 4'096> piece_{};
};

} // namespace

std::shared_ptr<http::connection> make_control_connection(http::listener::accepted accepted,
                                                          std::shared_ptr<const control_service> service) {
  return std::make_shared<control_connection>(std::move(accepted), std::move(service));
}

} // namespace weir
