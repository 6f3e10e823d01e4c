#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace weir {

struct http_answer {
  int status = 0;                             ///< 0: no answer came; `error` says why.
  std::map<std::string, std::string> headers; ///< Names in lower case.
  std::string body;
  std::string error;
};

/// A small HTTP client on libcurl, for tests of servers; one connection kept alive between requests. Not
/// thread-safe. For bytes that are no HTTP there is `raw_client`.
class http_client {
 public:
  struct settings {
    std::string token{};   ///< Sent as `Authorization: Bearer …` if not empty.
    std::string ca_file{}; ///< Trusted instead of the system's authorities.
    std::chrono::milliseconds timeout{30'000};
  };
  using header_list = std::vector<std::pair<std::string, std::string>>;

  http_client() : http_client(settings{}) {}
  explicit http_client(settings how);
  ~http_client();
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  http_answer get(const std::string& url, const header_list& headers = {});
  http_answer post(const std::string& url, const std::string& body, const header_list& headers = {});

 private:
  http_answer perform(const std::string& url, const header_list& headers, const std::string* body);

  settings how_;
  void* handle_;
};

} // namespace weir
