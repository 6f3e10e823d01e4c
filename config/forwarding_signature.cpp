#include "config/forwarding_signature.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <stdexcept>

#include <fmt/format.h>

#include "config/whole_file.hpp"
#include "messages/environment.hpp"

namespace weir {

namespace {

struct key_deleter {
  void operator()(EVP_PKEY* x) const noexcept { EVP_PKEY_free(x); }
};
struct bio_deleter {
  void operator()(BIO* x) const noexcept { BIO_free(x); }
};
struct context_deleter {
  void operator()(EVP_MD_CTX* x) const noexcept { EVP_MD_CTX_free(x); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, key_deleter>;
using bio_ptr = std::unique_ptr<BIO, bio_deleter>;
using context_ptr = std::unique_ptr<EVP_MD_CTX, context_deleter>;

constexpr std::size_t signature_bytes = 64;
constexpr std::size_t max_pem_bytes = 16u << 10;

// OpenSSL's only failures here are memory and a library without Ed25519: nothing a caller could handle.
[[noreturn]] void fail(const char* what) {
  ERR_clear_error();
  throw std::runtime_error(fmt::format("OpenSSL: {}", what));
}

const unsigned char* data_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_ed25519(const key_ptr& key) noexcept {
  return key && EVP_PKEY_id(key.get()) == EVP_PKEY_ED25519;
}

key_ptr new_key() {
  return key_ptr{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
}

bio_ptr bio_over(std::string_view text) {
  return bio_ptr{BIO_new_mem_buf(text.data(), static_cast<int>(std::min(text.size(), max_pem_bytes)))};
}

// Never asks at a terminal for a password.
int no_password(char*, int, int, void*) noexcept {
  return 0;
}

key_ptr secret_key_of(std::string_view pem) {
  const auto bio = bio_over(pem);
  key_ptr key{bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr};
  ERR_clear_error();
  return key;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string{};
}

std::string pem_of(const key_ptr& key) {
  const bio_ptr bio{BIO_new(BIO_s_mem())};
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    fail("the new key cannot be written");
  return text_of(bio.get());
}

} // namespace

struct config_signer::key {
  key_ptr value;
};

config_signer::config_signer(std::unique_ptr<key> of) : key_(std::move(of)) {
  auto size = public_key_.size();
  if (EVP_PKEY_get_raw_public_key(key_->value.get(), public_key_.data(), &size) != 1 || size != public_key_.size())
    fail("the key has no public half");
}

config_signer::~config_signer() = default;
config_signer::config_signer(config_signer&&) noexcept = default;
config_signer& config_signer::operator=(config_signer&&) noexcept = default;

config_signer config_signer::make() {
  auto made = new_key();
  if (!made)
    fail("no Ed25519 key can be made");
  return config_signer{std::make_unique<key>(key{std::move(made)})};
}

std::optional<config_signer> config_signer::open(disk& on, const std::string& path, std::string& error) {
  std::string text;
  if (const auto failed = read_whole_file(on, path, max_pem_bytes, text)) {
    if (failed.value() != ENOENT) {
      error = fmt::format("the signing key '{}' cannot be read: {}", path, failed.message());
      return std::nullopt;
    }
    auto made = make();
    if (const auto unwritten = replace_whole_file(on, path, pem_of(made.key_->value))) {
      error = fmt::format("the signing key '{}' cannot be written: {}", path, unwritten.message());
      return std::nullopt;
    }
    return made;
  }
  auto there = secret_key_of(text);
  std::fill(text.begin(), text.end(), '\0');
  if (!is_ed25519(there)) {
    error = fmt::format(
        "'{}' is not an Ed25519 key in PEM; to have a new one made, move the file away: configs signed "
        "with the old key are refused then",
        path);
    return std::nullopt;
  }
  return config_signer{std::make_unique<key>(key{std::move(there)})};
}

std::string config_signer::sign(std::string_view text) const {
  const context_ptr context{EVP_MD_CTX_new()};
  std::string result(signature_bytes, '\0');
  auto size = result.size();
  if (!context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_->value.get()) != 1
      || EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(result.data()), &size, data_of(text),
                        text.size())
             != 1
      || size != signature_bytes)
    fail("cannot sign");
  return result;
}

bool verify_signature(std::string_view text, std::string_view signature, const std::vector<config_public_key>& keys) {
  if (signature.size() != signature_bytes)
    return false;
  const auto good = [&](const config_public_key& by) {
    const key_ptr key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, by.data(), by.size())};
    const context_ptr context{EVP_MD_CTX_new()};
    return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1
           && EVP_DigestVerify(context.get(), data_of(signature), signature.size(), data_of(text), text.size()) == 1;
  };
  const auto result = std::any_of(keys.begin(), keys.end(), good);
  ERR_clear_error();
  return result;
}

std::optional<config_public_key> parse_public_key(std::string_view pem, std::string& error) {
  const auto bio = bio_over(pem);
  const key_ptr key{bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr) : nullptr};
  ERR_clear_error();
  config_public_key result{};
  auto size = result.size();
  if (pem.size() > max_pem_bytes || !is_ed25519(key)
      || EVP_PKEY_get_raw_public_key(key.get(), result.data(), &size) != 1 || size != result.size()) {
    error = "is not an Ed25519 public key in PEM; `openssl pkey -in KEY -pubout` writes one";
    return std::nullopt;
  }
  return result;
}

std::string public_key_text(const config_public_key& key) {
  const key_ptr raw{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size())};
  const bio_ptr bio{BIO_new(BIO_s_mem())};
  if (!raw || !bio || PEM_write_bio_PUBKEY(bio.get(), raw.get()) != 1)
    fail("the public key cannot be written");
  return text_of(bio.get());
}

} // namespace weir
