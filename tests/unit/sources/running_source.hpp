#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/sources/http_source.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/unit/sources/fake_gate.hpp"

namespace weir {

/// An HTTP source on a free loopback port, over a fake gate, with a clock that moves when told to.
struct running_source {
  using change = std::function<void(http_source_settings&)>;

  explicit running_source(const change& adjust = {}) {
    http_source_settings settings;
    settings.listener.threads = 1;
    settings.listener.sweep_every = std::chrono::milliseconds{2};
    if (adjust)
      adjust(settings);
    auto opened = http_source::open(settings, gate, clock, metrics);
    REQUIRE(opened);
    source = std::move(*opened);
  }

  raw_client connect(const char* from = nullptr) const {
    raw_client client{source->port(), from};
    REQUIRE(client.connected());
    return client;
  }

  double count(http_trouble reason) const { return metrics.trouble[reason].Value(); }
  std::uint64_t memory_in_use() const { return gate->window->used().bytes; }

  /// Lets time pass in steps until the server ends the connection; the time that took, or nothing.
  std::optional<std::chrono::milliseconds> time_until_end(raw_client& client, std::chrono::milliseconds step,
                                                          std::chrono::milliseconds most) {
    for (std::chrono::milliseconds passed{0}; passed <= most; passed += step) {
      if (client.readable_within(20))
        return client.ended() ? std::optional{passed} : std::nullopt;
      clock->advance(step);
    }
    return std::nullopt;
  }

  /// One full exchange on a connection of its own: when it is answered, the (single) thread of the source has
  /// dealt with what was sent to it before.
  void settle() {
    auto client = connect();
    REQUIRE(client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    REQUIRE(client.receive());
  }

  /// Connects again and again until that many were counted: the thread is then done with what came before.
  void settle_by_count(http_trouble reason, double wanted) {
    for (int tries = 0; tries < 1'000 && count(reason) < wanted; ++tries)
      connect().readable_within(1);
    CHECK_EQ(count(reason), wanted);
  }

  std::shared_ptr<fake_gate> gate = std::make_shared<fake_gate>();
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  metrics_registry registry;
  ingest_metrics metrics{registry.families()};
  std::unique_ptr<http_source> source;
};

inline std::string request(const std::string& fields, const std::string& body,
                           const std::string& target = "/v1/ingest/http_requests") {
  return "POST " + target + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cret\r\n" + fields + "\r\n" + body;
}

inline std::string post(const std::string& body, const std::string& fields = "",
                        const std::string& target = "/v1/ingest/http_requests") {
  return request("Content-Length: " + std::to_string(body.size()) + "\r\n" + fields, body, target);
}

inline std::string chunk(const std::string& data) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

inline int status_of(raw_client& client) {
  const auto response = client.receive();
  return response ? response->status : 0;
}

} // namespace weir
