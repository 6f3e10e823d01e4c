#pragma once

#include <memory>
#include <string>

#include <caf/expected.hpp>

// Boost's TLS context is kept out of this header: it is slow to compile.
namespace boost::asio::ssl {
class context;
}

namespace weir::http {

/// A server's own certificate. TLS 1.2 and 1.3 only, ciphers with forward secrecy and authentication only.
struct tls_settings {
  std::string certificate_file; ///< PEM, the chain from the server's own certificate on.
  std::string key_file;         ///< PEM, not encrypted.
};

/// Errors: refused, with a sentence that names the file.
caf::expected<std::shared_ptr<boost::asio::ssl::context>> make_tls(const tls_settings& settings);

} // namespace weir::http
