#include "tests/support/http_client.hpp"

#include <algorithm>
#include <cctype>
#include <memory>
#include <stdexcept>

#include <curl/curl.h>

namespace weir {
namespace {

std::size_t take_body(char* bytes, std::size_t, std::size_t size, void* into) {
  static_cast<http_answer*>(into)->body.append(bytes, size);
  return size;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t size, void* into) {
  std::string line(bytes, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n'))
    line.pop_back();
  if (auto colon = line.find(':'); colon != std::string::npos) {
    auto name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char x) { return std::tolower(x); });
    auto value = line.find_first_not_of(' ', colon + 1);
    static_cast<http_answer*>(into)->headers[name] = value == std::string::npos ? "" : line.substr(value);
  }
  return size;
}

} // namespace

http_client::http_client(settings how) : how_(std::move(how)) {
  static const auto initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_ = initialised == CURLE_OK ? curl_easy_init() : nullptr;
  if (!handle_)
    throw std::runtime_error("libcurl does not start");
}

http_client::~http_client() {
  curl_easy_cleanup(handle_);
}

http_answer http_client::get(const std::string& url, const header_list& headers) {
  return perform(url, headers, nullptr);
}

http_answer http_client::post(const std::string& url, const std::string& body, const header_list& headers) {
  return perform(url, headers, &body);
}

http_answer http_client::perform(const std::string& url, const header_list& headers, const std::string* body) {
  http_answer answer;
  char reason[CURL_ERROR_SIZE] = "";
  // Without "Expect:" curl waits up to a second for a 100 before larger bodies.
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> list(curl_slist_append(nullptr, "Expect:"),
                                                                   &curl_slist_free_all);
  auto add = [&](const std::string& line) { list.reset(curl_slist_append(list.release(), line.c_str())); };
  if (!how_.token.empty())
    add("Authorization: Bearer " + how_.token);
  for (auto& [name, value] : headers)
    add(value.empty() ? name + ';' : name + ": " + value);
  curl_easy_reset(handle_);
  curl_easy_setopt(handle_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle_, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle_, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle_, CURLOPT_TIMEOUT_MS, static_cast<long>(how_.timeout.count()));
  curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle_, CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(handle_, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle_, CURLOPT_HEADERDATA, &answer);
  if (!how_.ca_file.empty())
    curl_easy_setopt(handle_, CURLOPT_CAINFO, how_.ca_file.c_str());
  if (body) {
    curl_easy_setopt(handle_, CURLOPT_POST, 1L);
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, body->data());
  }
  auto code = curl_easy_perform(handle_);
  if (code != CURLE_OK) {
    answer.error = reason[0] ? reason : curl_easy_strerror(code);
    return answer;
  }
  long status = 0;
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

} // namespace weir
