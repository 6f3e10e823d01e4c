#include "actors/destinations/curl_transfer.hpp"

#include <algorithm>
#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "actors/destinations/request_checks.hpp"

namespace weir {

namespace {

constexpr std::size_t kept_answer_bytes = 4 << 10;
/// An answer that goes on beyond this is cut off: its status has said all that counts.
constexpr std::uint64_t max_answer_bytes = 64 << 10;

std::string lowered(std::string_view text) {
  std::string result{text};
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

} // namespace

curl_transfer::curl_transfer(std::uint64_t id, upload_order order, std::shared_ptr<upload_listener> listener,
                             time_point now)
    : id_(id),
      order_(std::move(order)),
      listener_(std::move(listener)),
      easy_(curl_easy_init()),
      started_(now),
      last_progress_(now) {}

curl_transfer::~curl_transfer() {
  curl_easy_cleanup(easy_);
  curl_slist_free_all(headers_);
}

// -- the request -------------------------------------------------------------------------------

template <class T>
bool curl_transfer::set(CURLoption option, T value) {
  return curl_easy_setopt(easy_, option, value) == CURLE_OK;
}

bool curl_transfer::add_header(const std::string& line) {
  auto* longer = curl_slist_append(headers_, line.c_str());
  if (longer == nullptr)
    return false;
  headers_ = longer;
  return true;
}

bool curl_transfer::set_headers() {
  auto fine = add_header("Content-Encoding: gzip") && add_header("Expect:") && add_header("Accept: */*");
  if (!order_.identity.empty())
    fine = fine && add_header("X-Weir-Batch: " + order_.identity);
  if (!order_.length)
    fine = fine && add_header("Transfer-Encoding: chunked");
  auto has_type = false;
  for (const auto& [name, value] : order_.headers) {
    has_type = has_type || lowered(name) == "content-type";
    // libcurl's form for a header without a value is a semicolon.
    fine = fine && add_header(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!has_type)
    fine = fine && add_header("Content-Type: application/x-ndjson");
  return fine && set(CURLOPT_HTTPHEADER, headers_);
}

bool curl_transfer::set_limits(const http_settings& settings) {
  const auto* protocols = order_.allow_insecure_http ? "https,http" : "https";
  return set(CURLOPT_PROTOCOLS_STR, protocols) && set(CURLOPT_FOLLOWLOCATION, 0L) && set(CURLOPT_PROXY, "")
         && set(CURLOPT_NOPROXY, "*") && set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED}) && set(CURLOPT_SSL_VERIFYPEER, 1L)
         && set(CURLOPT_SSL_VERIFYHOST, 2L) && set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2})
         && (settings.authorities_file.empty()
             || (set(CURLOPT_CAINFO, settings.authorities_file.c_str()) && set(CURLOPT_CAPATH, nullptr)))
         && set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1})
         && set(CURLOPT_NOSIGNAL, 1L)
         // Without this the loop would wait for a resolver thread when an upload is cancelled.
         && set(CURLOPT_QUICK_EXIT, 1L)
         && set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout.count()))
         && set(CURLOPT_TCP_KEEPALIVE, 1L) && set(CURLOPT_BUFFERSIZE, 16L << 10)
         && set(CURLOPT_UPLOAD_BUFFERSIZE, 128L << 10);
}

bool curl_transfer::prepare(const http_settings& settings, network_counters& counters) {
  settings_ = &settings;
  counters_ = &counters;
  if (easy_ == nullptr)
    return false;
  const auto length = order_.length ? static_cast<curl_off_t>(*order_.length) : curl_off_t{-1};
  return set(CURLOPT_URL, order_.url.c_str()) && set(CURLOPT_ERRORBUFFER, error_.data()) && set(CURLOPT_PRIVATE, this)
         && set(CURLOPT_POST, 1L) && set(CURLOPT_POSTFIELDSIZE_LARGE, length)
         && set(CURLOPT_READFUNCTION, &curl_transfer::read_body) && set(CURLOPT_READDATA, this)
         && set(CURLOPT_SEEKFUNCTION, &curl_transfer::rewind_body) && set(CURLOPT_SEEKDATA, this)
         && set(CURLOPT_WRITEFUNCTION, &curl_transfer::take_answer) && set(CURLOPT_WRITEDATA, this)
         && set(CURLOPT_OPENSOCKETFUNCTION, &curl_transfer::open_socket) && set(CURLOPT_OPENSOCKETDATA, this)
         && set(CURLOPT_USERAGENT, "weir") && set_limits(settings) && set_headers();
}

curl_socket_t curl_transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto& me = *static_cast<curl_transfer*>(self);
  if (auto why = me.settings_->addresses.refuse(&address->addr)) {
    me.blocked_ = std::move(why);
    ++me.counters_->egress_blocked;
    return CURL_SOCKET_BAD;
  }
  ++me.counters_->connections;
  me.opened_ = true;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// -- the body ----------------------------------------------------------------------------------

std::size_t curl_transfer::read_body(char* into, std::size_t size, std::size_t count, void* self) {
  return static_cast<curl_transfer*>(self)->next_bytes(into, size * count);
}

std::size_t curl_transfer::next_bytes(char* into, std::size_t size) {
  while (!windows_.empty() && at_ == windows_.front().size()) {
    if (windows_.size() == 1 && at_first_window_)
      break;
    windows_.pop_front();
    at_ = 0;
    at_first_window_ = false;
  }
  if (!windows_.empty() && at_ < windows_.front().size()) {
    const auto n = std::min(size, windows_.front().size() - at_);
    std::memcpy(into, windows_.front().data() + at_, n);
    at_ += n;
    handed_ += n;
    counters_->bytes += n;
    return n;
  }
  if (last_)
    return 0;
  paused_ = true;
  if (!asked_) {
    asked_ = true;
    listener_->on_wants_window(id_);
  }
  return CURL_READFUNC_PAUSE;
}

int curl_transfer::rewind_body(void* self, curl_off_t offset, int origin) {
  auto& me = *static_cast<curl_transfer*>(self);
  if (origin != SEEK_SET || offset != 0 || !me.at_first_window_)
    return CURL_SEEKFUNC_CANTSEEK;
  me.at_ = 0;
  me.handed_ = 0;
  return CURL_SEEKFUNC_OK;
}

bool curl_transfer::starts_over(CURLcode code) {
  const auto broke = code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING
                     || code == CURLE_SEND_FAIL_REWIND;
  long new_connections = 1, status = 0;
  curl_easy_getinfo(easy_, CURLINFO_NUM_CONNECTS, &new_connections);
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (!broke || new_connections > 0 || status > 0 || started_over_ || !at_first_window_)
    return false;
  started_over_ = true;
  at_ = 0;
  handed_ = 0;
  paused_ = false;
  return set(CURLOPT_FRESH_CONNECT, 1L);
}

void curl_transfer::supply(std::string window, bool last) {
  supplied_ += window.size();
  if (order_.length && (supplied_ > *order_.length || (last && supplied_ != *order_.length))) {
    local_trouble_ = fmt::format("the object has {} bytes where {} were announced", supplied_, *order_.length);
    return;
  }
  asked_ = false;
  last_ = last_ || last;
  if (!window.empty())
    windows_.push_back(std::move(window));
  if (paused_) {
    paused_ = false;
    curl_easy_pause(easy_, CURLPAUSE_CONT);
  }
}

bool curl_transfer::whole_body_sent() const {
  if (order_.length)
    return handed_ == *order_.length;
  return last_ && handed_ == supplied_;
}

// -- the answer --------------------------------------------------------------------------------

std::size_t curl_transfer::take_answer(char* data, std::size_t size, std::size_t count, void* self) {
  auto& me = *static_cast<curl_transfer*>(self);
  const auto n = size * count;
  me.answer_.append(data, std::min(n, kept_answer_bytes - std::min(kept_answer_bytes, me.answer_.size())));
  me.answer_bytes_ += n;
  return me.answer_bytes_ <= max_answer_bytes ? n : 0;
}

upload_outcome curl_transfer::outcome_of_failure(std::string why) const {
  upload_outcome result;
  result.result = upload_result::failed;
  result.error = std::move(why);
  return result;
}

upload_outcome curl_transfer::outcome_of_status(long status, const http_settings& settings) {
  upload_outcome result;
  result.status = static_cast<int>(status);
  if (status >= 200 && status < 300) {
    if (whole_body_sent()) {
      result.result = upload_result::stored;
      return result;
    }
    return outcome_of_failure(fmt::format("answered {} before it had the whole object", status));
  }
  const auto passing = status == 408 || status == 429 || status >= 500 || status < 200;
  result.result = passing ? upload_result::failed : upload_result::refused;
  if (status >= 300 && status < 400)
    result.error = fmt::format("answered {}: redirects are not followed", status);
  else
    result.error = fmt::format("answered {}", status);
  if (const auto text = sanitised(answer_, order_); !text.empty())
    result.error += ": " + text;
  curl_off_t pause = 0;
  if (passing && curl_easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &pause) == CURLE_OK && pause > 0) {
    const auto most = std::chrono::duration_cast<std::chrono::seconds>(settings.retry_after_cap);
    result.retry_after = std::min(most, std::chrono::seconds{pause});
  }
  return result;
}

upload_outcome curl_transfer::outcome_of_code(CURLcode code) const {
  std::string why = curl_easy_strerror(code);
  if (error_[0] != '\0')
    why = error_.data();
  return outcome_of_failure(sanitised(why, order_));
}

upload_outcome curl_transfer::outcome_of(CURLcode code, const http_settings& settings) {
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  const auto cut_off = code == CURLE_WRITE_ERROR && answer_bytes_ > max_answer_bytes;
  if (code == CURLE_OK || cut_off)
    return outcome_of_status(status, settings);
  if (blocked_ && !opened_ && code == CURLE_COULDNT_CONNECT) {
    upload_outcome result;
    result.result = upload_result::refused;
    result.error = *blocked_;
    return result;
  }
  // A definite no that was followed by a reset, because the server did not want the rest.
  if (status >= 400)
    return outcome_of_status(status, settings);
  return outcome_of_code(code);
}

// -- time --------------------------------------------------------------------------------------

/// A number that grows with whatever the destination does.
std::uint64_t curl_transfer::marks() const {
  curl_off_t up = 0, down = 0, connected = 0, secured = 0;
  long header_bytes = 0;
  curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &up);
  curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &down);
  curl_easy_getinfo(easy_, CURLINFO_CONNECT_TIME_T, &connected);
  curl_easy_getinfo(easy_, CURLINFO_APPCONNECT_TIME_T, &secured);
  curl_easy_getinfo(easy_, CURLINFO_HEADER_SIZE, &header_bytes);
  return static_cast<std::uint64_t>(up) + static_cast<std::uint64_t>(down) + static_cast<std::uint64_t>(header_bytes)
         + (connected > 0) + (secured > 0) + handed_ + answer_bytes_;
}

std::optional<std::string> curl_transfer::overdue(time_point now) {
  const auto seen = marks();
  const auto waits_for_us = asked_ && paused_;
  if (seen != marks_ || waits_for_us) {
    marks_ = seen;
    last_progress_ = now;
  }
  if (now - started_ >= order_.whole_timeout)
    return fmt::format("not finished within {} s", order_.whole_timeout.count() / 1000.0);
  if (now - last_progress_ >= order_.stall_timeout)
    return fmt::format("no progress for {} s", order_.stall_timeout.count() / 1000.0);
  return std::nullopt;
}

curl_transfer::time_point curl_transfer::deadline() const {
  return std::min(started_ + order_.whole_timeout, last_progress_ + order_.stall_timeout);
}

} // namespace weir
