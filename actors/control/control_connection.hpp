#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "actors/control/control_listener.hpp"
#include "actors/control/router.hpp"
#include "actors/http/listener.hpp"

namespace weir {

/// What all connections of a control listener share.
struct control_service {
  control_router router;
  control_authenticator authenticate;
  std::size_t max_body_bytes = 1u << 20;
  bool on_loopback = false;
};

/// A connection that answers by the router's handlers.
std::shared_ptr<http::connection> make_control_connection(http::listener::accepted accepted,
                                                          std::shared_ptr<const control_service> service);

} // namespace weir
