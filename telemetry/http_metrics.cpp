#include "telemetry/http_metrics.hpp"

namespace weir {

std::string_view name_of(http_trouble reason) noexcept {
  constexpr std::string_view names[] = {"bad_head",         "bad_framing",
                                        "head_too_large",   "tls_on_plain_port",
                                        "tls_handshake",    "unauthorized",
                                        "scope_forbidden",  "not_found",
                                        "bad_request",      "unsupported_encoding",
                                        "body_too_large",   "compression_ratio",
                                        "bad_encoding",     "rate",
                                        "refused",          "draining",
                                        "head_deadline",    "body_deadline",
                                        "write_deadline",   "idle_deadline",
                                        "answer_deadline",  "client_gone",
                                        "connection_limit", "address_limit",
                                        "token_limit",      "accept_failed"};
  static_assert(sizeof(names) / sizeof(names[0]) == http_trouble_count);
  return names[static_cast<std::size_t>(reason)];
}

http_metrics::http_metrics(prometheus::Registry& r, const std::string& prefix)
    : trouble(make_counters<http_trouble, http_trouble_count>(
        r, (prefix + "_trouble_total").c_str(), "Requests and connections that were not served, by reason.", "reason")),
      requests(make_counter(r, (prefix + "_requests_total").c_str(), "Request heads read.")),
      answers_2xx(make_counter(r, (prefix + "_answers_total").c_str(), "Answers, by class.", {{"class", "2xx"}})),
      answers_4xx(make_counter(r, (prefix + "_answers_total").c_str(), "Answers, by class.", {{"class", "4xx"}})),
      answers_5xx(make_counter(r, (prefix + "_answers_total").c_str(), "Answers, by class.", {{"class", "5xx"}})),
      wire_bytes(make_counter(r, (prefix + "_wire_bytes_total").c_str(), "Body bytes read, before decoding.")),
      body_bytes(make_counter(r, (prefix + "_body_bytes_total").c_str(), "Bytes of whole bodies, after decoding.")),
      connections_opened(make_counter(r, (prefix + "_connections_opened_total").c_str(), "Connections taken.")),
      connections(make_gauge(r, (prefix + "_connections").c_str(), "Connections open now.")),
      requests_under_way(make_gauge(r, (prefix + "_requests_under_way").c_str(), "Requests without an answer yet.")),
      answer_seconds(make_histogram(r, (prefix + "_answer_seconds").c_str(),
                                    "From the last byte of a request to its answer: for bodies, the "
                                    "acknowledgement's delay.",
                                    duration_buckets())) {}

} // namespace weir
