#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tests/support/process.hpp"

namespace weir {

/// A certificate authority of the test's own, made anew each time, with its certificates as PEM files
/// in a temporary directory. P-256. Throws `std::runtime_error` with OpenSSL's reason.
class certificate_authority {
 public:
  struct files {
    std::string certificate, key;
  };
  struct request {
    std::string common_name = "localhost";
    std::string names = "DNS:localhost,IP:127.0.0.1"; ///< As in openssl's subjectAltName; empty: none.
    std::chrono::seconds valid_from{-3600};           ///< From now.
    std::chrono::seconds valid_until{86'400};
  };

  certificate_authority();
  ~certificate_authority();
  certificate_authority(const certificate_authority&) = delete;
  certificate_authority& operator=(const certificate_authority&) = delete;

  /// What a client must trust.
  const std::string& file() const noexcept { return own_.certificate; }
  /// For servers and clients alike.
  files issue(const request& wanted);
  files issue() { return issue(request{}); }
  /// Signed by itself, so that no authority vouches for it.
  files self_signed(const request& wanted);

 private:
  struct signer;
  files make(const request& wanted, const signer* issuer, std::unique_ptr<signer>* made);

  temporary_directory directory_{"weir-certificates"};
  int serial_ = 0;
  files own_;
  std::unique_ptr<signer> signer_;
};

} // namespace weir
