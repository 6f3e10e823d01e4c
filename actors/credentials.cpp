#include "actors/credentials.hpp"

#include <algorithm>

#include <openssl/sha.h>

namespace weir {

namespace {

std::string digest_of(std::string_view token) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::vector<control_right> rights_of(const token_rights& rights) {
  std::vector<control_right> result;
  if (rights.read)
    result.push_back(control_right::read);
  if (rights.write)
    result.push_back(control_right::write);
  if (rights.operate)
    result.push_back(control_right::operate);
  return result;
}

} // namespace

void credentials::replace(const std::vector<token_config>& tokens) {
  std::unordered_map<std::string, entry> fresh;
  for (const auto& token : tokens) {
    auto scopes = token.scopes;
    std::sort(scopes.begin(), scopes.end());
    entry x;
    if (token.rights.ingest)
      x.ingest = std::make_shared<const sender>(sender{token.name, token.any_scope, scopes});
    auto caller = std::make_shared<control_caller>();
    caller->token = token.name;
    caller->rights = rights_of(token.rights);
    caller->any_scope = token.any_scope;
    caller->scopes = scopes;
    x.control = std::move(caller);
    fresh.emplace(digest_of(token.secret.reveal()), std::move(x));
  }
  std::lock_guard lock{mutex_};
  by_digest_.swap(fresh);
}

credentials::entry credentials::find(std::string_view token) const {
  const auto digest = digest_of(token);
  std::lock_guard lock{mutex_};
  const auto found = by_digest_.find(digest);
  return found == by_digest_.end() ? entry{} : found->second;
}

std::shared_ptr<const sender> credentials::ingest(std::string_view token) const {
  return find(token).ingest;
}

std::shared_ptr<const control_caller> credentials::control(std::string_view token) const {
  return find(token).control;
}

} // namespace weir
