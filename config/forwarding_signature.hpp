#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

class disk;

/// An Ed25519 public key.
using config_public_key = std::array<unsigned char, 32>;

/// Signs forwarding configs: the Ed25519 key of the control node. Its secret half never leaves this
/// object but into its file. Thread-safe after construction.
class config_signer {
 public:
  ~config_signer();
  config_signer(config_signer&&) noexcept;
  config_signer& operator=(config_signer&&) noexcept;

  /// The key in the file, made on first start: PEM (PKCS #8), mode 0600, durable before it is used. A file
  /// that is there and is no such key is never replaced. Nothing, and a sentence, if it cannot be had.
  static std::optional<config_signer> open(disk& on, const std::string& path, std::string& error);
  /// A new key that is in no file; for tests and scratch nodes.
  static config_signer make();

  /// 64 bytes over `text`.
  std::string sign(std::string_view text) const;
  const config_public_key& public_key() const noexcept { return public_key_; }

 private:
  struct key;
  explicit config_signer(std::unique_ptr<key> of);

  std::unique_ptr<key> key_;
  config_public_key public_key_{};
};

/// True if `signature` is one of `text` by one of the keys.
bool verify_signature(std::string_view text, std::string_view signature, const std::vector<config_public_key>& keys);

/// Reads an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it, or says why not.
std::optional<config_public_key> parse_public_key(std::string_view pem, std::string& error);
/// The same as PEM.
std::string public_key_text(const config_public_key& key);

} // namespace weir
