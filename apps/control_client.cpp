#include "apps/control_client.hpp"

#include <cstdlib>
#include <fstream>
#include <memory>

#include <curl/curl.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "messages/secret.hpp"

namespace weir {

namespace {

constexpr long patience_seconds = 30;

std::size_t append(char* bytes, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(bytes, size * count);
  return size * count;
}

secret read_token(const control_options& options, std::string& wrong) {
  if (options.token_file.empty()) {
    const auto* variable = std::getenv("WEIR_TOKEN");
    return secret{variable == nullptr ? "" : variable};
  }
  std::ifstream file{options.token_file};
  std::string token;
  if (!std::getline(file, token))
    wrong = fmt::format("--token-file: {} cannot be read", options.token_file);
  return secret{token};
}

} // namespace

void add_control_options(CLI::App& command, control_options& options) {
  command.add_option("--connect", options.address, "control endpoint of the node")->capture_default_str();
  command.add_option("--token-file", options.token_file, "file with the bearer token; else WEIR_TOKEN is used");
}

control_answer call_control(const control_options& options, const std::string& method, const std::string& path,
                            const std::string& body) {
  control_answer answer;
  const auto token = read_token(options, answer.text);
  if (!answer.text.empty())
    return answer;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> request{curl_easy_init(), curl_easy_cleanup};
  const auto url =
      options.address.find("://") == std::string::npos ? "http://" + options.address + path : options.address + path;
  const auto bearer = "Authorization: Bearer " + token.reveal();
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{
      token.empty() ? nullptr : curl_slist_append(nullptr, bearer.c_str()), curl_slist_free_all};
  auto* handle = request.get();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method.c_str());
  if (method == "POST") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_TIMEOUT, patience_seconds);
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer.text);
  if (const auto result = curl_easy_perform(handle); result != CURLE_OK) {
    answer.text = fmt::format("{}: {}", options.address, curl_easy_strerror(result));
    return answer;
  }
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

} // namespace weir
