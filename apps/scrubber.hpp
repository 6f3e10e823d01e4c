#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// Takes out of a text what a customer, or an attacker, would not want to see in a stranger's hands: secrets, where
/// events go, and whose they are. What stands for one thing is the same throughout a bundle and tells nothing of it, so
/// that one can still see that two lines are about the same tenant.
class scrubber {
 public:
  /// `salt`: random, a new one for each bundle.
  explicit scrubber(std::string salt) : salt_(std::move(salt)) {}

  /// A text that must not appear whatever is around it. Shorter ones than 6 bytes are passed over: they would be
  /// found everywhere.
  void forget(std::string_view secret);

  /// - each forgotten text, also percent-encoded or in JSON's escapes: `(secret)`
  /// - what follows `Bearer `: `(secret)`
  /// - a URL, from its scheme to its end: `https://#1a2b3c4d`
  /// - `zones/ID`, `accounts/ID`: `zones/#1a2b3c4d`
  /// - what a destination answered behind its status: `answered 403: (left out)`
  std::string clean(std::string_view text) const;

 private:
  std::string name_for(std::string_view what) const;
  std::string without_secrets(std::string_view text) const;

  std::string salt_;
  std::vector<std::string> secrets_; // longest first
};

} // namespace weir
