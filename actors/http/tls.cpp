#include "actors/http/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fmt/format.h>

#include "actors/http/asio.hpp"
#include "messages/error.hpp"

namespace weir::http {

namespace {

caf::error tls_error(const std::string& file, const char* what) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return make_error(errc::refused, fmt::format("{} '{}' cannot be used: {}", what, file, text));
}

} // namespace

caf::expected<std::shared_ptr<asio::ssl::context>> make_tls(const tls_settings& settings) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  auto* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Renegotiation and compression are old ways to make a server work for a stranger; tickets would need keys
  // that are rotated.
  SSL_CTX_set_options(
      native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return tls_error("ECDHE+AESGCM:ECDHE+CHACHA20", "cipher list");
  if (SSL_CTX_use_certificate_chain_file(native, settings.certificate_file.c_str()) != 1)
    return tls_error(settings.certificate_file, "certificate file");
  if (SSL_CTX_use_PrivateKey_file(native, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return tls_error(settings.key_file, "key file");
  if (SSL_CTX_check_private_key(native) != 1)
    return tls_error(settings.key_file, "key file");
  return context;
}

} // namespace weir::http
