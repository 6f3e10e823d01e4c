#include "apps/real/https_reader.hpp"

#include <atomic>
#include <cctype>
#include <sstream>
#include <string_view>

#include <curl/curl.h>
#include <fmt/format.h>

namespace weir {

namespace {

constexpr std::size_t longest_tag = 256;

struct answer {
  std::uint64_t most_bytes = 0;
  std::string body;
  std::string tag;
  bool too_large = false;
};

/// An ETag goes back to the server as it came, so it must be able to stand in a header.
bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > longest_tag)
    return false;
  for (const unsigned char c : text)
    if (c < 0x21 || c > 0x7e)
      return false;
  return true;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* into) {
  auto& mine = *static_cast<answer*>(into);
  std::string_view line{data, size};
  constexpr std::string_view name = "etag:";
  if (line.substr(0, 5) == "HTTP/") {
    mine.tag.clear(); // of an interim answer
    return size;
  }
  if (line.size() <= name.size())
    return size;
  for (std::size_t i = 0; i < name.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(line[i])) != name[i])
      return size;
  line.remove_prefix(name.size());
  const auto first = line.find_first_not_of(" \t");
  const auto last = line.find_last_not_of(" \t\r\n");
  if (first != std::string_view::npos && last >= first && is_tag(line.substr(first, last - first + 1)))
    mine.tag = line.substr(first, last - first + 1);
  return size;
}

std::size_t take_body(char* data, std::size_t, std::size_t size, void* into) {
  auto& mine = *static_cast<answer*>(into);
  if (size > mine.most_bytes || mine.body.size() > mine.most_bytes - size) {
    mine.too_large = true;
    return 0;
  }
  mine.body.append(data, size);
  return size;
}

int may_go_on(void* stopped, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<std::atomic<bool>*>(stopped)->load() ? 1 : 0;
}

source_look failed(std::string reason, std::string text) {
  source_look result;
  result.reason = std::move(reason);
  result.text = std::move(text);
  return result;
}

} // namespace

struct https_reader::state {
  https_reader_settings how;
  std::atomic<bool> stopped{false};
  CURL* easy = curl_easy_init();

  ~state() { curl_easy_cleanup(easy); }

  template <class T>
  bool set(CURLoption option, T value) {
    return curl_easy_setopt(easy, option, value) == CURLE_OK;
  }
  bool prepare(answer& into, curl_slist* headers);
};

bool https_reader::state::prepare(answer& into, curl_slist* headers) {
  if (easy == nullptr)
    return false;
  curl_easy_reset(easy); // the connection stays
  const bool fine = set(CURLOPT_URL, how.url.c_str()) && set(CURLOPT_PROTOCOLS_STR, "https")
                    && set(CURLOPT_FOLLOWLOCATION, 0L) && set(CURLOPT_PROXY, "") && set(CURLOPT_NOPROXY, "*")
                    && set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED}) && set(CURLOPT_SSL_VERIFYPEER, 1L)
                    && set(CURLOPT_SSL_VERIFYHOST, 2L) && set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2})
                    && set(CURLOPT_NOSIGNAL, 1L)
                    && set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(how.connect_timeout.count()))
                    && set(CURLOPT_TIMEOUT_MS, static_cast<long>(how.whole_timeout.count()))
                    && set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(how.slow_for.count()))
                    && set(CURLOPT_LOW_SPEED_LIMIT, how.slow_bytes_per_second)
                    && set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(into.most_bytes))
                    && set(CURLOPT_HEADERFUNCTION, take_header) && set(CURLOPT_HEADERDATA, &into)
                    && set(CURLOPT_WRITEFUNCTION, take_body) && set(CURLOPT_WRITEDATA, &into)
                    && set(CURLOPT_NOPROGRESS, 0L) && set(CURLOPT_XFERINFOFUNCTION, may_go_on)
                    && set(CURLOPT_XFERINFODATA, &stopped) && set(CURLOPT_HTTPHEADER, headers);
  return fine && (how.authorities_file.empty() || set(CURLOPT_CAINFO, how.authorities_file.c_str()));
}

https_reader::https_reader(https_reader_settings how) : state_(std::make_unique<state>()) {
  state_->how = std::move(how);
}

https_reader::~https_reader() = default;

void https_reader::stop() {
  state_->stopped = true;
}

source_look https_reader::look(const std::string& seen, std::uint64_t most_bytes) {
  const auto& url = state_->how.url;
  answer got;
  got.most_bytes = most_bytes;
  curl_slist* headers = curl_slist_append(nullptr, "Accept: application/json, application/octet-stream");
  if (is_tag(seen))
    headers = curl_slist_append(headers, ("If-None-Match: " + seen).c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> held{headers, curl_slist_free_all};
  if (headers == nullptr || !state_->prepare(got, headers))
    return failed("unreachable", fmt::format("{}: the request could not be prepared", url));
  const auto code = curl_easy_perform(state_->easy);
  if (got.too_large || code == CURLE_FILESIZE_EXCEEDED)
    return failed("too_large", fmt::format("{} answers with more than {} bytes", url, most_bytes));
  if (code != CURLE_OK)
    return failed("unreachable", fmt::format("{}: {}", url, curl_easy_strerror(code)));
  long status = 0;
  curl_easy_getinfo(state_->easy, CURLINFO_RESPONSE_CODE, &status);
  source_look result;
  if (status == 304) {
    result.what = source_look::result::unchanged;
    return result;
  }
  if (status != 200)
    return failed("refused_by_source", fmt::format("{} answers {}", url, status));
  result.what = source_look::result::document;
  result.document = std::make_unique<std::istringstream>(std::move(got.body));
  result.tag = std::move(got.tag);
  return result;
}

} // namespace weir
