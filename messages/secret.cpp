#include "messages/secret.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <fmt/format.h>

namespace weir {

std::string secret::fingerprint() const {
  if (text_.empty())
    return {};
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text_.data()), text_.size(), digest);
  return fmt::format("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
}

bool secret::equals(const std::string& candidate) const noexcept {
  return candidate.size() == text_.size() && CRYPTO_memcmp(candidate.data(), text_.data(), text_.size()) == 0;
}

} // namespace weir
