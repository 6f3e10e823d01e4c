#pragma once

#include <string>
#include <utility>

namespace weir {

/// A token, key or password. It has no stream operator, no formatter and no conversion: whoever
/// needs the text says `reveal()`, which is easy to search for in a review.
class secret {
 public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}

  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }

  /// First 8 hex digits of the SHA-256, for people who compare two secrets. Empty for no secret.
  std::string fingerprint() const;

  /// Compares in time that depends on the lengths only.
  bool equals(const std::string& candidate) const noexcept;

 private:
  std::string text_;
};

} // namespace weir
