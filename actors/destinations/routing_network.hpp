#pragma once

#include <memory>

#include "actors/destinations/curl_network.hpp"
#include "actors/destinations/file_network.hpp"
#include "actors/destinations/network_counters.hpp"
#include "messages/environment.hpp"

namespace weir {

struct network_settings {
  http_settings http;
  file_settings files;
};

/// The way to all kinds of destinations: `file://` by `make_file_network`, everything else by
/// `make_curl_network`, which refuses schemes it does not know. Has five threads in all; ends its
/// uploads as failed when it is destroyed, which must not happen on one of them. `counters` may be
/// shared with whoever shows them. Throws `std::runtime_error` if libcurl cannot be initialised.
std::shared_ptr<network> make_network(network_settings settings, std::shared_ptr<weir::disk> disk,
                                      std::shared_ptr<network_counters> counters);

} // namespace weir
