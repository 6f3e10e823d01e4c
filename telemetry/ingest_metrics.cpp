#include "telemetry/ingest_metrics.hpp"

namespace weir {

std::string_view name_of(ingest_trouble reason) noexcept {
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
  static_assert(sizeof(names) / sizeof(names[0]) == ingest_trouble_count);
  return names[static_cast<std::size_t>(reason)];
}

ingest_metrics::ingest_metrics(prometheus::Registry& r)
    : trouble(make_counters<ingest_trouble, ingest_trouble_count>(
        r, "weir_ingest_trouble_total", "Requests and connections that were not served, by reason.", "reason")),
      requests(make_counter(r, "weir_ingest_requests_total", "Request heads read.")),
      answers_2xx(make_counter(r, "weir_ingest_answers_total", "Answers written, by class.", {{"class", "2xx"}})),
      answers_4xx(make_counter(r, "weir_ingest_answers_total", "Answers written, by class.", {{"class", "4xx"}})),
      answers_5xx(make_counter(r, "weir_ingest_answers_total", "Answers written, by class.", {{"class", "5xx"}})),
      wire_bytes(make_counter(r, "weir_ingest_wire_bytes_total", "Body bytes read, before decoding.")),
      body_bytes(make_counter(r, "weir_ingest_body_bytes_total", "Bytes of bodies handed on, after decoding.")),
      connections_opened(make_counter(r, "weir_ingest_connections_opened_total", "Connections taken.")),
      connections(make_gauge(r, "weir_ingest_connections", "Connections open now.")),
      bodies_under_way(make_gauge(r, "weir_ingest_bodies_under_way", "Bodies that wait for their answer.")),
      answer_seconds(make_histogram(r, "weir_ingest_answer_seconds",
                                    "From the last byte of a body to its answer: the acknowledgement's delay.",
                                    duration_buckets())) {}

} // namespace weir
