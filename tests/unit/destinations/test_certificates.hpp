#pragma once

#include <memory>
#include <stdexcept>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/// Certificates made on the spot, so that no test depends on a file that expires.
namespace weir::testing {

struct certificate {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> x509;

  std::string pem() const {
    std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
    PEM_write_bio_X509(out.get(), x509.get());
    char* data = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }
};

struct certificate_wish {
  std::string common_name = "localhost";
  std::string names = "DNS:localhost,IP:127.0.0.1"; ///< Empty: an authority.
  long valid_from = -3600;                          ///< Seconds from now.
  long valid_until = 3600;
};

/// Signed by `issuer`, or by itself.
inline certificate make_certificate(const certificate_wish& wish, const certificate* issuer = nullptr) {
  certificate result;
  result.key = {EVP_EC_gen("P-256"), &EVP_PKEY_free};
  result.x509 = {X509_new(), &X509_free};
  auto* x = result.x509.get();
  if (!result.key || x == nullptr)
    throw std::runtime_error("no certificate can be made");
  static long serial = 1;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x), wish.valid_from);
  X509_gmtime_adj(X509_getm_notAfter(x), wish.valid_until);
  X509_set_pubkey(x, result.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer->x509.get() : x));
  const auto extend = [&](int what, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer ? issuer->x509.get() : x, x, nullptr, nullptr, 0);
    std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
        X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()), &X509_EXTENSION_free);
    if (!extension || X509_add_ext(x, extension.get(), -1) != 1)
      throw std::runtime_error("no certificate can be made");
  };
  extend(NID_basic_constraints, wish.names.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!wish.names.empty())
    extend(NID_subject_alt_name, wish.names);
  if (X509_sign(x, issuer ? issuer->key.get() : result.key.get(), EVP_sha256()) == 0)
    throw std::runtime_error("no certificate can be signed");
  return result;
}

inline certificate make_authority() {
  certificate_wish wish;
  wish.common_name = "test authority";
  wish.names.clear();
  return make_certificate(wish);
}

} // namespace weir::testing
