#include "tests/support/sink_connection.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

#include <poll.h>
#include <sys/socket.h>

#include "tests/support/gzip_text.hpp"

namespace weir {
namespace {

constexpr std::size_t longest_head = 65'536;
constexpr std::uint64_t longest_body = 1ull << 30;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char x) { return std::tolower(x); });
  return text;
}

std::string field(const sink_request& request, const std::string& name) {
  auto found = request.headers.find(name);
  return found == request.headers.end() ? "" : found->second;
}

} // namespace

void sink_connection::run() {
  if (owner_.tls_ && !shake_hands())
    return;
  while (!owner_.stopping_ && !peer_.reset && serve_request()) {
  }
}

bool sink_connection::shake_hands() {
  tls_.reset(SSL_new(owner_.tls_.get()));
  return tls_ && SSL_set_fd(tls_.get(), peer_.handle) == 1 && SSL_accept(tls_.get()) == 1;
}

bool sink_connection::fill() {
  if (read_ == unread_.size()) {
    unread_.clear();
    read_ = 0;
  }
  char piece[65'536];
  ssize_t got;
  do {
    got = tls_ ? SSL_read(tls_.get(), piece, sizeof piece) : ::recv(peer_.handle, piece, sizeof piece, 0);
  } while (got < 0 && !tls_ && errno == EINTR);
  if (got <= 0)
    return false;
  unread_.append(piece, static_cast<std::size_t>(got));
  return true;
}

bool sink_connection::send(const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    auto rest = bytes.size() - sent;
    auto n = tls_ ? SSL_write(tls_.get(), bytes.data() + sent, static_cast<int>(std::min<std::size_t>(rest, 1 << 20)))
                  : ::send(peer_.handle, bytes.data() + sent, rest, MSG_NOSIGNAL);
    if (n < 0 && !tls_ && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

std::optional<std::string> sink_connection::read_line() {
  while (true) {
    if (auto end = unread_.find("\r\n", read_); end != std::string::npos) {
      auto line = unread_.substr(read_, end - read_);
      read_ = end + 2;
      return line;
    }
    if (unread_.size() - read_ > longest_head || !fill())
      return std::nullopt;
  }
}

std::optional<sink_request> sink_connection::read_head() {
  auto line = read_line();
  if (!line)
    return std::nullopt;
  sink_request request;
  request.at = std::chrono::steady_clock::now();
  auto first = line->find(' '), last = line->rfind(' ');
  if (first == std::string::npos || first == last)
    return std::nullopt;
  request.method = line->substr(0, first);
  request.target = line->substr(first + 1, last - first - 1);
  request.path = request.target.substr(0, request.target.find('?'));
  for (std::size_t bytes = 0; (line = read_line()) && !line->empty();) {
    bytes += line->size();
    auto colon = line->find(':');
    if (colon == std::string::npos || bytes > longest_head)
      return std::nullopt;
    auto value = line->find_first_not_of(' ', colon + 1);
    request.headers[lower(line->substr(0, colon))] = value == std::string::npos ? "" : line->substr(value);
  }
  if (!line)
    return std::nullopt;
  return request;
}

sink_connection::body_end sink_connection::take(std::uint64_t bytes, sink_request& request, const sink_behaviour& how) {
  if (bytes > longest_body - std::min<std::uint64_t>(longest_body, request.body.size()))
    return body_end::broken;
  while (bytes > 0) {
    if (read_ == unread_.size() && !fill())
      return body_end::broken;
    auto step = std::min<std::uint64_t>(bytes, unread_.size() - read_);
    if (how.bytes_per_second > 0)
      step = std::min(step, std::max<std::uint64_t>(1, how.bytes_per_second / 10));
    if (how.reset_at)
      step = std::min(step, *how.reset_at - request.body.size());
    request.body.append(unread_, read_, step);
    read_ += step;
    bytes -= step;
    if (how.reset_at && request.body.size() == *how.reset_at)
      return body_end::reset;
    if (how.bytes_per_second > 0) {
      std::chrono::microseconds time(step * 1'000'000 / how.bytes_per_second);
      if (!owner_.pause(time, peer_))
        return body_end::broken;
    }
  }
  return body_end::whole;
}

sink_connection::body_end sink_connection::read_body(sink_request& request, const sink_behaviour& how) {
  if (how.reset_at == 0)
    return body_end::reset;
  if (how.bytes_per_second > 0) {
    // Otherwise the kernel would take megabytes on our behalf, and the sender notice nothing.
    int small = 4096;
    ::setsockopt(peer_.handle, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }
  if (lower(field(request, "transfer-encoding")) != "chunked")
    return take(std::strtoull(field(request, "content-length").c_str(), nullptr, 10), request, how);
  while (auto line = read_line()) {
    auto size = std::strtoull(line->c_str(), nullptr, 16);
    if (auto end = take(size, request, how); end != body_end::whole)
      return end;
    line = read_line();
    if (!line || !line->empty())
      return body_end::broken;
    if (size == 0)
      return body_end::whole;
  }
  return body_end::broken;
}

void sink_connection::be_silent() {
  // Only the end of the connection is waited for: what else is sent stays on the wire.
  pollfd waiting{peer_.handle, POLLRDHUP, 0};
  while (!owner_.stopping_ && !peer_.reset && ::poll(&waiting, 1, 20) == 0) {
  }
}

bool sink_connection::answer(const sink_request& request, const sink_behaviour& how) {
  auto status = std::to_string(request.status);
  auto without = request.status == 204 || request.status == 304 || request.method == "HEAD";
  auto body = without ? "" : how.body.value_or(status + '\n');
  auto head = "HTTP/1.1 " + status
              + " as told\r\nContent-Length: " + std::to_string(how.announced_bytes.value_or(body.size())) + "\r\n";
  if (how.retry_after && request.status == how.status)
    head += "Retry-After: " + std::to_string(how.retry_after->count()) + "\r\n";
  for (auto& [name, value] : how.headers)
    head += name + ": " + value + "\r\n";
  return send(head + "\r\n" + body) && lower(field(request, "connection")) != "close";
}

bool sink_connection::serve_request() {
  auto request = read_head();
  if (!request)
    return false;
  auto how = owner_.behaviour_for(request->path);
  if (how.never_read) {
    owner_.keep(std::move(*request));
    be_silent();
    return false;
  }
  if (lower(field(*request, "expect")) == "100-continue" && !send("HTTP/1.1 100 Continue\r\n\r\n"))
    return false;
  auto end = read_body(*request, how);
  request->whole = end == body_end::whole;
  auto unpacked = request->body.rfind("\x1f\x8b", 0) == 0 ? gunzip(request->body) : std::nullopt;
  request->text = unpacked ? std::move(*unpacked) : request->body;
  if (end == body_end::reset)
    peer_.reset = true;
  if (!request->whole || how.never_answer) {
    auto silent = request->whole;
    owner_.keep(std::move(*request));
    if (silent)
      be_silent();
    return false;
  }
  auto harmless = !how.poison.empty() && request->text.find(how.poison) == std::string::npos;
  request->status = harmless ? 200 : how.status;
  if (!owner_.pause(how.delay, peer_))
    return false;
  auto answered = *request;
  answered.body.clear();
  answered.text.clear();
  owner_.keep(std::move(*request));
  return answer(answered, how);
}

} // namespace weir
