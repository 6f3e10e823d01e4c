#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "messages/batch.hpp"
#include "messages/credit.hpp"
#include "messages/receipt.hpp"

/// What every source needs of the node behind it. A source speaks a protocol and knows no actor; the
/// node's assembly implements this interface over the forwarders and the store writer.
namespace weir {

/// What a protocol answers for a body.
struct ingest_answer {
  int status = 200;            ///< HTTP status; other protocols map it.
  std::string body;            ///< JSON, as design section 9 has it.
  int retry_after_seconds = 0; ///< 0 = no such header.
  std::uint64_t events = 0;    ///< Lines received; what the sender's rate of events is charged.
};

/// A whole body, ready to be taken in.
struct ingest_body {
  std::shared_ptr<payload> bytes; ///< Decoded and sealed.
  std::uint32_t dataset = 0;
  std::string scope; ///< From the path or query; empty: each event says its own.
  std::shared_ptr<const sender> from;
  std::string idempotency_key;                ///< Empty: none.
  bool strict = false;                        ///< `?strict=1`: one bad line refuses the body.
  std::function<void(ingest_answer)> respond; ///< Called once, from any thread; returns at once.
};

/// Why a source may not even read a body now.
struct ingest_refusal {
  int status = 429;
  std::string reason; ///< `memory`, `tenant_share`, `shutting_down`, `disk_full`, `no_config`.
  int retry_after_seconds = 1;
};

class ingest_gate {
 public:
  virtual ~ingest_gate() = default;

  /// Index of a dataset, or nothing for an unknown one.
  virtual std::optional<std::uint32_t> dataset(std::string_view name) const = 0;

  /// Whether events of the dataset can be of this scope, `zones/…` or `accounts/…`.
  virtual bool fits(std::uint32_t /*dataset*/, std::string_view /*scope*/) const { return true; }

  /// Reserves memory for a body before it is read: `bytes` of the in-flight budget and of the
  /// sender's share. Chunked bodies call it again per MiB.
  virtual std::optional<credit> reserve(const sender& from, std::uint64_t bytes, ingest_refusal& refusal) = 0;

  /// How much all bodies together may hold at present; less when memory is short.
  virtual std::uint64_t in_flight_bytes() const = 0;

  /// Takes the body in. `respond` is called when every slice of it is settled.
  virtual void accept(ingest_body body) = 0;

  /// The credential of a bearer token with the right `ingest`, or null.
  virtual std::shared_ptr<const sender> authenticate(std::string_view bearer_token) const = 0;

  /// Whether the sender may name this scope for a whole body. A gate that knows which zones an account
  /// owns says yes to those of the token's accounts, too.
  virtual bool may_send_for(const sender& from, std::string_view scope) const {
    return from.any_scope || std::binary_search(from.scopes.begin(), from.scopes.end(), scope);
  }
};

} // namespace weir
