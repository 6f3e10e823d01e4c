#include "tests/support/sink_server.hpp"

#include <algorithm>
#include <cerrno>
#include <set>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/sink_connection.hpp"

namespace weir {
namespace {

std::shared_ptr<SSL_CTX> load_tls(const certificate_authority::files& files) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context || SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1
      || SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    throw std::runtime_error(std::string("OpenSSL: ") + ERR_error_string(ERR_get_error(), nullptr));
  return context;
}

bool begins_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

/// OpenSSL writes without MSG_NOSIGNAL; a client that went away must not end the test.
void block_broken_pipes() {
  sigset_t pipes;
  sigemptyset(&pipes);
  sigaddset(&pipes, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipes, nullptr);
}

} // namespace

sink_server::sink_server(settings how) : how_(std::move(how)), port_(how_.port) {
  if (how_.tls)
    tls_ = load_tls(*how_.tls);
  listening_ = listen();
  acceptor_ = std::thread([this] { accept_connections(); });
}

sink_server::~sink_server() {
  stopping_ = true;
  {
    std::lock_guard guard(mutex_);
    for (auto& peer : connections_)
      if (peer.handle >= 0)
        ::shutdown(peer.handle, SHUT_RDWR);
  }
  changed_.notify_all();
  acceptor_.join();
  for (auto& peer : connections_)
    peer.thread.join();
  if (listening_ >= 0)
    ::close(listening_);
}

std::string sink_server::url(const std::string& path) const {
  return (tls_ ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port_) + path;
}

int sink_server::listen() {
  auto handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (handle < 0 || ::setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
      || ::bind(handle, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(handle, 512) != 0
      || ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    auto number = errno;
    if (handle >= 0)
      ::close(handle);
    throw std::system_error(number, std::generic_category(), "sink on port " + std::to_string(port_));
  }
  port_ = ntohs(address.sin_port);
  return handle;
}

void sink_server::accept_connections() {
  block_broken_pipes();
  while (!stopping_) {
    reap();
    std::unique_lock lock(mutex_);
    if (refusing_ && listening_ >= 0) {
      ::close(std::exchange(listening_, -1));
      changed_.notify_all();
    }
    if (listening_ < 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(20));
      continue;
    }
    pollfd waiting{listening_, POLLIN, 0};
    lock.unlock();
    if (::poll(&waiting, 1, 20) <= 0)
      continue;
    auto handle = ::accept4(waiting.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (handle < 0)
      continue;
    int on = 1;
    ::setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    lock.lock();
    auto& peer = connections_.emplace_back();
    peer.handle = handle;
    peer.thread = std::thread([this, &peer] { serve(peer); });
  }
}

void sink_server::serve(connection& peer) {
  sink_connection(*this, peer).run();
  std::lock_guard guard(mutex_);
  if (peer.reset) {
    linger hard{1, 0};
    ::setsockopt(peer.handle, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  ::close(std::exchange(peer.handle, -1));
  peer.ended = true;
}

void sink_server::reap() {
  std::list<connection> ended;
  {
    std::lock_guard guard(mutex_);
    for (auto it = connections_.begin(); it != connections_.end();) {
      auto next = std::next(it);
      if (it->ended)
        ended.splice(ended.end(), connections_, it);
      it = next;
    }
  }
  for (auto& peer : ended)
    peer.thread.join();
}

void sink_server::script(const std::string& path_prefix, sink_behaviour what) {
  std::lock_guard guard(mutex_);
  scripts_[path_prefix] = std::move(what);
}

sink_behaviour sink_server::behaviour_for(const std::string& path) {
  std::lock_guard guard(mutex_);
  sink_behaviour* best = nullptr;
  std::size_t length = 0;
  for (auto& [prefix, what] : scripts_)
    if (begins_with(path, prefix) && (!best || prefix.size() >= length)) {
      best = &what;
      length = prefix.size();
    }
  if (!best || best->times == 0)
    return {};
  if (best->times != sink_behaviour::for_ever && best->poison.empty())
    --best->times;
  return *best;
}

void sink_server::refuse_connections(bool on) {
  {
    std::unique_lock lock(mutex_);
    refusing_ = on;
    if (on)
      changed_.wait(lock, [this] { return listening_ < 0; });
    else if (listening_ < 0)
      listening_ = listen();
  }
  if (on)
    reset_connections();
}

void sink_server::reset_connections() {
  std::lock_guard guard(mutex_);
  for (auto& peer : connections_) {
    peer.reset = true;
    // Wakes its thread, which then closes with a reset.
    if (peer.handle >= 0)
      ::shutdown(peer.handle, SHUT_RD);
  }
  changed_.notify_all();
}

bool sink_server::pause(std::chrono::microseconds time, const connection& peer) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopping_ || peer.reset; });
}

void sink_server::keep(sink_request request) {
  auto ids = event_ids(request.text, how_.event_id_key);
  if (!how_.keep_bodies) {
    request.body.clear();
    request.text.clear();
  }
  std::lock_guard guard(mutex_);
  records_.push_back({std::move(request), std::move(ids)});
}

std::vector<sink_request> sink_server::requests(const std::string& path_prefix) const {
  std::lock_guard guard(mutex_);
  std::vector<sink_request> found;
  for (auto& [request, ids] : records_)
    if (begins_with(request.path, path_prefix))
      found.push_back(request);
  return found;
}

std::size_t sink_server::count(const std::string& path_prefix) const {
  std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(std::count_if(records_.begin(), records_.end(),
                                                [&](auto& x) { return begins_with(x.request.path, path_prefix); }));
}

std::size_t sink_server::connections() const {
  std::lock_guard guard(mutex_);
  return static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(), [](auto& x) { return x.handle >= 0; }));
}

std::vector<std::string> sink_server::accepted_ids(const std::string& path_prefix) const {
  std::lock_guard guard(mutex_);
  std::vector<std::string> all;
  std::set<std::pair<std::string, std::string>> seen;
  for (auto& [request, ids] : records_) {
    if (!begins_with(request.path, path_prefix) || request.status / 100 != 2)
      continue;
    auto batch = request.headers.find("x-weir-batch");
    if (batch == request.headers.end() || seen.emplace(request.path, batch->second).second)
      all.insert(all.end(), ids.begin(), ids.end());
  }
  return all;
}

void sink_server::forget() {
  std::lock_guard guard(mutex_);
  records_.clear();
}

std::vector<std::string> event_ids(const std::string& text, const std::string& key) {
  std::vector<std::string> ids;
  auto opening = '"' + key + "\":\"";
  for (auto at = text.find(opening); at != std::string::npos; at = text.find(opening, at)) {
    at += opening.size();
    auto end = text.find('"', at);
    if (end == std::string::npos)
      break;
    ids.push_back(text.substr(at, end - at));
  }
  return ids;
}

} // namespace weir
