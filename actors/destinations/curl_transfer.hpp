#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <curl/curl.h>

#include "actors/destinations/curl_network.hpp"

namespace weir {

/// One upload on its way through libcurl. Lives on the loop's thread.
class curl_transfer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  curl_transfer(std::uint64_t id, upload_order order, std::shared_ptr<upload_listener> listener, time_point now);
  ~curl_transfer();
  curl_transfer(const curl_transfer&) = delete;
  curl_transfer& operator=(const curl_transfer&) = delete;

  /// Prepares the request. False if libcurl cannot take it; then `end_locally` says why.
  bool prepare(const http_settings& settings, network_counters& counters);

  /// Adds a window and lets a paused upload go on.
  void supply(std::string window, bool last);

  /// Whether the attempt met a connection that the destination had closed while it was idle. Then
  /// the request is set up anew for a fresh connection, once: libcurl itself repeats only if nothing
  /// of the body was sent.
  bool starts_over(CURLcode code);

  /// Notes progress, and says whether a timeout has passed: then in words.
  std::optional<std::string> overdue(time_point now);
  /// When `overdue` should be asked again at the latest.
  time_point deadline() const;

  /// What it came to, once libcurl is through with it.
  upload_outcome outcome_of(CURLcode code, const http_settings& settings);
  upload_outcome outcome_of_failure(std::string why) const;

  /// The windows do not fit the announced length: the fault is on this side.
  const std::optional<std::string>& local_trouble() const noexcept { return local_trouble_; }

  CURL* handle() const noexcept { return easy_; }
  std::uint64_t id() const noexcept { return id_; }
  const std::shared_ptr<upload_listener>& listener() const noexcept { return listener_; }
  std::uint64_t handed_bytes() const noexcept { return handed_; }

 private:
  static std::size_t read_body(char* into, std::size_t size, std::size_t count, void* self);
  static int rewind_body(void* self, curl_off_t offset, int origin);
  static std::size_t take_answer(char* data, std::size_t size, std::size_t count, void* self);
  static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);

  template <class T>
  bool set(CURLoption option, T value);
  bool add_header(const std::string& line);
  bool set_headers();
  bool set_limits(const http_settings& settings);
  std::size_t next_bytes(char* into, std::size_t size);
  std::uint64_t marks() const;
  bool whole_body_sent() const;
  upload_outcome outcome_of_status(long status, const http_settings& settings);
  upload_outcome outcome_of_code(CURLcode code) const;

  std::uint64_t id_;
  upload_order order_;
  std::shared_ptr<upload_listener> listener_;
  network_counters* counters_ = nullptr;
  const http_settings* settings_ = nullptr;
  CURL* easy_;
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};

  std::deque<std::string> windows_;
  std::size_t at_ = 0;          ///< In the first of `windows_`.
  bool at_first_window_ = true; ///< The first of `windows_` is the body's first: kept for a repeat.
  bool last_ = false;
  bool asked_ = false; ///< The listener owes a window.
  bool paused_ = false;
  std::uint64_t supplied_ = 0;
  std::uint64_t handed_ = 0; ///< To libcurl.
  bool started_over_ = false;
  std::optional<std::string> local_trouble_;
  std::optional<std::string> blocked_; ///< Why the last address was refused.
  bool opened_ = false;                ///< Some address was fine.
  std::string answer_;
  std::uint64_t answer_bytes_ = 0;

  time_point started_;
  time_point last_progress_;
  std::uint64_t marks_ = 0;
};

} // namespace weir
