#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "messages/secret.hpp"

namespace weir::drills {

/// A node's answer to one request over a connection of its own, and how long it took to be there whole.
struct call_result {
  unsigned status = 0;                  ///< 0: none came in time, or it was none.
  std::string body;                     ///< Or why there is none.
  std::chrono::duration<double> took{}; ///< Seconds, from before the connection was made.
};

/// One request to a port of this machine's loopback address, in clear. An answer has at most 64 MiB.
call_result call_node(std::uint16_t port, const secret& token, const std::string& method, const std::string& path,
                      const std::string& body = {}, std::chrono::milliseconds within = std::chrono::seconds{10});

/// The sum of a metric over its labels in the text of `/metrics`; `labels`, if given, must stand in the line.
double sum_metric(const std::string& metrics, const std::string& name, const std::string& labels = {});

} // namespace weir::drills
