#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/control/router.hpp"
#include "config/node_config.hpp"
#include "messages/batch.hpp"

namespace weir {

/// The bearer tokens of a node. Looked up by their SHA-256, so that neither the table nor the time a
/// lookup takes tells anything of a token's text. Replaced whole by `weir reload`. Thread-safe.
class credentials {
 public:
  explicit credentials(const std::vector<token_config>& tokens) { replace(tokens); }

  void replace(const std::vector<token_config>& tokens);

  /// Who may send events with this token; null if it is unknown or lacks the right `ingest`.
  std::shared_ptr<const sender> ingest(std::string_view token) const;
  /// Who asks the control endpoint; null if the token is unknown.
  std::shared_ptr<const control_caller> control(std::string_view token) const;

 private:
  struct entry {
    std::shared_ptr<const sender> ingest;
    std::shared_ptr<const control_caller> control;
  };
  entry find(std::string_view token) const;

  mutable std::mutex mutex_;
  std::unordered_map<std::string, entry> by_digest_;
};

} // namespace weir
