#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "actors/http/listener.hpp"
#include "actors/sources/body_builder.hpp"
#include "actors/sources/fair_turns.hpp"
#include "actors/sources/ingest.hpp"
#include "actors/sources/rate_limit.hpp"

namespace weir {

/// How many connections each token has open. Shared by the threads of a source.
class token_census : public std::enable_shared_from_this<token_census> {
 public:
  explicit token_census(std::size_t most) : most_(most) {}

  /// Counts a connection as long as the result lives; null at the limit.
  std::shared_ptr<void> admit(const std::string& token);

 private:
  const std::size_t most_;
  std::mutex mutex_;
  std::map<std::string, std::size_t> counts_;
};

/// What all connections of an HTTP source share.
struct ingest_service {
  ingest_service(std::shared_ptr<ingest_gate> behind, const body_limits& bounds, std::size_t connections_per_token,
                 rate_limits standard, std::map<std::string, rate_limits> named,
                 const std::shared_ptr<clock_source>& clock)
      : gate(std::move(behind)),
        limits(bounds),
        tokens(std::make_shared<token_census>(connections_per_token)),
        rates(standard, std::move(named)),
        turns(std::make_shared<fair_turns>(turns_before(gate), clock)) {}

  std::shared_ptr<ingest_gate> gate;
  const body_limits limits;
  std::shared_ptr<token_census> tokens;
  rate_limiter rates;
  std::shared_ptr<fair_turns> turns; ///< Outlives the source in answers that are still to come.

 private:
  static fair_turns::settings turns_before(const std::shared_ptr<ingest_gate>& gate) {
    fair_turns::settings how;
    how.memory = [gate] { return gate->in_flight_bytes(); };
    return how;
  }
};

/// A connection that takes bodies in: head → checks → reservation → bytes → gate.
std::shared_ptr<http::connection> make_ingest_connection(http::listener::accepted accepted,
                                                         std::shared_ptr<ingest_service> service);

} // namespace weir
