#include <doctest/doctest.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "tests/unit/sources/running_source.hpp"

using namespace weir;

namespace {

/// A key and a self-signed certificate in files of their own, removed at the end.
class own_certificate {
 public:
  explicit own_certificate(const std::string& name)
      : key_file("/tmp/weir_tls_" + std::to_string(getpid()) + "_" + name + ".key"),
        certificate_file(key_file + ".crt") {
    auto* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
    auto* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3'600);
    X509_set_pubkey(certificate, key);
    auto* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_sign(certificate, key, EVP_sha256());
    write(key_file, [&](FILE* file) { PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr); });
    write(certificate_file, [&](FILE* file) { PEM_write_X509(file, certificate); });
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~own_certificate() {
    std::remove(key_file.c_str());
    std::remove(certificate_file.c_str());
  }

  http::tls_settings settings() const { return {certificate_file, key_file}; }

  const std::string key_file, certificate_file;

 private:
  template <class F>
  static void write(const std::string& path, F&& f) {
    auto* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    f(file);
    std::fclose(file);
  }
};

/// A TLS client that trusts everybody: the tests look at the server.
class tls_client {
 public:
  explicit tls_client(raw_client connection, int version = 0)
      : connection_(std::move(connection)), context_(SSL_CTX_new(TLS_client_method())) {
    if (version != 0) {
      SSL_CTX_set_min_proto_version(context_, version);
      SSL_CTX_set_max_proto_version(context_, version);
      SSL_CTX_set_cipher_list(context_, "ALL:@SECLEVEL=0");
    }
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, connection_.handle());
    shaken_ = SSL_connect(ssl_) == 1;
  }
  tls_client(const tls_client&) = delete;
  ~tls_client() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }

  bool shaken() const noexcept { return shaken_; }

  std::string peer() const {
    auto* certificate = SSL_get1_peer_certificate(ssl_);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
  }

  bool send(const std::string& bytes) {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }

  /// Reads until `end` was seen, or the connection ends.
  std::string read_until(const std::string& end) {
    std::string text;
    char piece[4'096];
    while (text.find(end) == std::string::npos) {
      const int n = SSL_read(ssl_, piece, sizeof piece);
      if (n <= 0)
        break;
      text.append(piece, static_cast<std::size_t>(n));
    }
    return text;
  }
  bool ended_properly() {
    char byte = 0;
    const int n = SSL_read(ssl_, &byte, 1);
    return n <= 0 && SSL_get_error(ssl_, n) == SSL_ERROR_ZERO_RETURN;
  }

 private:
  raw_client connection_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool shaken_ = false;
};

running_source::change with(const own_certificate& own) {
  return [&](http_source_settings& settings) { settings.listener.tls = own.settings(); };
}

} // namespace

TEST_CASE("bodies come in over TLS as they do without") {
  own_certificate own{"first"};
  running_source node{with(own)};
  tls_client client{node.connect()};
  REQUIRE(client.shaken());
  const std::string text(3'000'000, 'x');
  REQUIRE(client.send(post(text)));
  CHECK_NE(client.read_until("}\n").find("{\"bytes\":3000000}"), std::string::npos);
  CHECK((node.gate->seen().at(0) == text));
  REQUIRE(client.send(post("x\n", "Connection: close\r\n")));
  CHECK_NE(client.read_until("}\n").find("200 OK"), std::string::npos);
  CHECK(client.ended_properly());
}

TEST_CASE("SEC-12 only TLS 1.2 and 1.3 are spoken") {
  own_certificate own{"first"};
  running_source node{with(own)};
  CHECK(tls_client{node.connect(), TLS1_3_VERSION}.shaken());
  CHECK(tls_client{node.connect(), TLS1_2_VERSION}.shaken());
  CHECK_FALSE(tls_client{node.connect(), TLS1_1_VERSION}.shaken());
  CHECK_FALSE(tls_client{node.connect(), TLS1_VERSION}.shaken());
  node.settle_by_count(http_trouble::tls_handshake, 2);
}

TEST_CASE("NET-05 plain text on the TLS port ends the connection with a counted reason") {
  own_certificate own{"first"};
  running_source node{with(own)};
  auto client = node.connect();
  REQUIRE(client.send(post("x\n")));
  while (client.receive()) {
  }
  CHECK(client.ended());
  CHECK_EQ(node.count(http_trouble::tls_handshake), 1);
  CHECK_EQ(node.gate->accepted(), 0u);
  auto silent = node.connect();
  CHECK(node.time_until_end(silent, std::chrono::seconds{1}, std::chrono::seconds{30}));
}

TEST_CASE("a reloaded certificate serves new connections; a bad one changes nothing") {
  own_certificate first{"first"}, second{"second"};
  running_source node{with(first)};
  CHECK_EQ(tls_client{node.connect()}.peer(), "first");
  CHECK(node.source->reload_tls({first.certificate_file, second.key_file}));
  CHECK(node.source->reload_tls({"/no/such/file", second.key_file}));
  CHECK_EQ(tls_client{node.connect()}.peer(), "first");
  CHECK_FALSE(node.source->reload_tls(second.settings()));
  CHECK_EQ(tls_client{node.connect()}.peer(), "second");
}

TEST_CASE("a client that vanishes amid a TLS body harms nobody") {
  own_certificate own{"first"};
  running_source node{with(own)};
  for (int i = 0; i < 20; ++i) {
    tls_client client{node.connect()};
    REQUIRE(client.shaken());
    client.send(post(std::string(100'000, 'x')).substr(0, 5'000 * static_cast<std::size_t>(i) + 10));
  }
  for (int tries = 0; tries < 100 && node.memory_in_use() > 0; ++tries)
    CHECK(tls_client{node.connect()}.shaken());
  CHECK_EQ(node.memory_in_use(), 0u);
  CHECK_EQ(node.gate->accepted(), 0u);
}
