#include "tests/support/certificates.hpp"

#include <cstdio>
#include <stdexcept>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace weir {
namespace {

template <class T>
T* must(T* x) {
  if (!x)
    throw std::runtime_error(std::string("OpenSSL: ") + ERR_error_string(ERR_get_error(), nullptr));
  return x;
}
void must(int done) {
  must(done == 1 ? &done : nullptr);
}

template <class T>
using owned = std::unique_ptr<T, void (*)(T*)>;

template <class Write>
void write_pem(const std::string& path, Write write) {
  owned<std::FILE> out(must(std::fopen(path.c_str(), "we")), [](std::FILE* x) { std::fclose(x); });
  must(write(out.get()));
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  owned<X509_EXTENSION> extension(must(X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str())),
                                  X509_EXTENSION_free);
  must(X509_add_ext(certificate, extension.get(), -1));
}

} // namespace

struct certificate_authority::signer {
  owned<EVP_PKEY> key{must(EVP_EC_gen("P-256")), EVP_PKEY_free};
  owned<X509> certificate{must(X509_new()), X509_free};
};

certificate_authority::files certificate_authority::make(const request& wanted, const signer* issuer,
                                                         std::unique_ptr<signer>* made) {
  auto fresh = std::make_unique<signer>();
  auto* x = fresh->certificate.get();
  auto& by = issuer ? *issuer : *fresh;
  ++serial_;
  must(X509_set_version(x, 2));
  must(ASN1_INTEGER_set(X509_get_serialNumber(x), serial_));
  must(X509_gmtime_adj(X509_getm_notBefore(x), static_cast<long>(wanted.valid_from.count())));
  must(X509_gmtime_adj(X509_getm_notAfter(x), static_cast<long>(wanted.valid_until.count())));
  must(X509_set_pubkey(x, fresh->key.get()));
  auto* name = reinterpret_cast<const unsigned char*>(wanted.common_name.c_str());
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, name, -1, -1, 0));
  must(X509_set_issuer_name(x, X509_get_subject_name(by.certificate.get())));
  extend(x, by.certificate.get(), NID_basic_constraints, made ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(x, by.certificate.get(), NID_subject_key_identifier, "hash");
  if (!wanted.names.empty())
    extend(x, by.certificate.get(), NID_subject_alt_name, wanted.names);
  must(X509_sign(x, by.key.get(), EVP_sha256()) > 0 ? 1 : 0);

  auto stem = directory_ / std::to_string(serial_);
  files result{stem + ".crt", stem + ".key"};
  write_pem(result.certificate, [&](std::FILE* out) { return PEM_write_X509(out, x); });
  write_pem(result.key, [&](std::FILE* out) {
    return PEM_write_PrivateKey(out, fresh->key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (made)
    *made = std::move(fresh);
  return result;
}

certificate_authority::certificate_authority() {
  own_ = make({"Weir test authority", ""}, nullptr, &signer_);
}

certificate_authority::~certificate_authority() = default;

certificate_authority::files certificate_authority::issue(const request& wanted) {
  return make(wanted, signer_.get(), nullptr);
}

certificate_authority::files certificate_authority::self_signed(const request& wanted) {
  return make(wanted, nullptr, nullptr);
}

} // namespace weir
