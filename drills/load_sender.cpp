#include "drills/load_sender.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <queue>
#include <random>
#include <stdexcept>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "drills/generate_receipts.hpp"
#include "drills/http_text.hpp"

namespace weir::drills {

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t first_backoff_ns = second_ns / 20;
constexpr std::int64_t longest_backoff_ns = 2 * second_ns;
constexpr std::int64_t reconnect_after_ns = second_ns / 10;
constexpr std::size_t max_answer_bytes = 1 << 20;

std::int64_t steady_now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

std::int64_t wall_now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::shared_ptr<const body_pool> render_pool(const generate::body_plan& plan, unsigned threads) {
  if (plan.events == 0)
    throw std::invalid_argument("a pool of bodies needs an end");
  auto pool = std::make_shared<body_pool>();
  pool->plan = plan;
  threads = std::max(1u, threads);
  std::vector<std::vector<generate::ready_body>> parts(threads);
  std::vector<std::thread> workers;
  std::uint64_t start = plan.start;
  for (unsigned i = 0; i < threads; ++i) {
    auto part = plan;
    part.start = start;
    part.events = plan.events / threads + (i < plan.events % threads ? 1 : 0);
    start += part.events;
    if (part.events == 0)
      continue;
    workers.emplace_back([part, &into = parts[i]] {
      const auto source = generate::make_body_source(part);
      for (generate::ready_body body; source->next(body);) {
        body.bytes.shrink_to_fit();
        into.push_back(std::move(body));
        body = {};
      }
    });
  }
  for (auto& x : workers)
    x.join();
  for (auto& part : parts)
    for (auto& body : part) {
      pool->events += body.count;
      pool->bodies.push_back(std::move(body));
    }
  return pool;
}

/// The thread of a load: connections, which body is due when, and what waits to be sent again.
class load_sender::loop {
 public:
  explicit loop(load_sender& owner)
      : owner_(owner),
        plan_(owner.plan_),
        started_(steady_now_ns()),
        wall_offset_(wall_now_ns() - started_),
        connections_(plan_.connections) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0)
      throw std::system_error(errno, std::generic_category(), "epoll");
    authorization_ = "Authorization: Bearer " + plan_.to.token.reveal() + "\r\n";
  }
  ~loop() {
    for (auto& x : connections_)
      if (x.fd >= 0)
        ::close(x.fd);
    ::close(epoll_);
  }

  void run() {
    for (std::size_t i = 0; i < connections_.size(); ++i)
      free_.push_back(i);
    while (!owner_.abandon_) {
      const auto now = steady_now_ns();
      make_due(now);
      hand_out(now);
      if (owner_.ending_ && waiting_.empty() && again_.empty() && under_way_ == 0) {
        owner_.all_answered_ = true;
        return;
      }
      wait(now);
    }
  }

 private:
  struct connection {
    int fd = -1;
    bool connected = false, busy = false;
    std::size_t fate = 0;
    std::uint32_t attempt = 0;
    std::string head;
    std::size_t written = 0; ///< Of head and body.
    std::string answer;
  };
  struct repeat {
    std::int64_t at;
    std::size_t fate;
    std::uint32_t attempt;
    bool operator<(const repeat& other) const { return at > other.at; }
  };

  const generate::ready_body& body_of(std::size_t fate) const {
    return plan_.pool->bodies[fate % plan_.pool->bodies.size()];
  }

  std::int64_t due_of_next() const {
    if (plan_.events_per_second <= 0)
      return started_;
    return started_ + static_cast<std::int64_t>(static_cast<double>(due_events_) / plan_.events_per_second * 1e9);
  }

  bool has_next() const { return plan_.cycles || owner_.fates_.size() < plan_.pool->bodies.size(); }

  /// Bodies whose time has come join the queue, sent or not.
  void make_due(std::int64_t now) {
    const bool unpaced = plan_.events_per_second <= 0;
    while (!owner_.ending_ && has_next() && due_of_next() <= now && !(unpaced && waiting_.size() >= free_.size())) {
      const auto& body = body_of(owner_.fates_.size());
      body_fate fate;
      fate.first = body.first;
      fate.count = static_cast<std::uint32_t>(body.count);
      fate.due_ns = (unpaced ? now : due_of_next()) + wall_offset_;
      due_events_ += body.count;
      owner_.counts_.due += body.count;
      waiting_.push_back(owner_.fates_.size());
      owner_.fates_.push_back(fate);
    }
    if (!owner_.ending_ && !has_next())
      owner_.ending_ = true;
    const auto limit = std::chrono::nanoseconds{plan_.drop_after}.count();
    while (limit > 0 && !waiting_.empty() && owner_.fates_[waiting_.front()].due_ns + limit < now + wall_offset_) {
      owner_.counts_.dropped += owner_.fates_[waiting_.front()].count;
      waiting_.pop_front();
    }
  }

  void hand_out(std::int64_t now) {
    while (!free_.empty()) {
      repeat next{0, 0, 0};
      if (!again_.empty() && again_.top().at <= now) {
        next = again_.top();
        again_.pop();
      } else if (!waiting_.empty()) {
        next.fate = waiting_.front();
        waiting_.pop_front();
      } else {
        return;
      }
      const auto index = free_.front();
      free_.pop_front();
      ++under_way_;
      begin(index, next.fate, next.attempt);
    }
  }

  void begin(std::size_t index, std::size_t fate, std::uint32_t attempt) {
    auto& c = connections_[index];
    const auto& body = body_of(fate);
    c.busy = true;
    c.fate = fate;
    c.attempt = attempt;
    c.head.clear();
    fmt::format_to(std::back_inserter(c.head),
                   "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: application/x-ndjson\r\n{}"
                   "Idempotency-Key: {}-{}\r\nContent-Length: {}\r\n\r\n",
                   plan_.target, plan_.to.port, authorization_,
                   plan_.pool->plan.gzip ? "Content-Encoding: gzip\r\n" : "", plan_.run, fate, body.bytes.size());
    c.written = 0;
    c.answer.clear();
    if (c.fd < 0)
      connect(index);
    else
      write(index);
  }

  void connect(std::size_t index) {
    auto& c = connections_[index];
    c.connected = false;
    c.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0)
      return broken(index);
    const int on = 1;
    ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(plan_.to.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(c.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)
      return broken(index);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = index;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event) != 0)
      broken(index);
  }

  void write(std::size_t index) {
    auto& c = connections_[index];
    const auto& body = body_of(c.fate).bytes;
    const auto total = c.head.size() + body.size();
    while (c.written < total) {
      iovec parts[2];
      int n = 0;
      if (c.written < c.head.size())
        parts[n++] = {c.head.data() + c.written, c.head.size() - c.written};
      const auto into_body = c.written > c.head.size() ? c.written - c.head.size() : 0;
      parts[n++] = {const_cast<char*>(body.data()) + into_body, body.size() - into_body};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = static_cast<std::size_t>(n);
      const auto sent = ::sendmsg(c.fd, &message, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR)
        continue;
      if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN))
        return;
      if (sent < 0) // a node may answer and close before it has read everything: its answer tells why
        return read(index, true);
      c.written += static_cast<std::size_t>(sent);
    }
  }

  void read(std::size_t index, bool failed = false) {
    auto& c = connections_[index];
    for (;;) {
      char buffer[16 << 10];
      const auto got = ::recv(c.fd, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0 && errno == EAGAIN)
        break;
      if (got <= 0) {
        failed = true;
        break;
      }
      if (c.answer.size() + static_cast<std::size_t>(got) > max_answer_bytes)
        return broken(index);
      c.answer.append(buffer, static_cast<std::size_t>(got));
    }
    if (const auto answer = read_http_answer(c.answer); answer && c.busy)
      return answered(index, *answer, failed);
    if (failed)
      broken(index);
  }

  void answered(std::size_t index, const http_answer_view& answer, bool failed) {
    auto& c = connections_[index];
    auto& fate = owner_.fates_[c.fate];
    auto& counts = owner_.counts_;
    if (answer.status == 200) {
      fate.answered_ns = steady_now_ns() + wall_offset_;
      generate::acknowledged_body what;
      if (!generate::parse_answer(answer.body, what))
        note_strange(answer);
      fate.accepted = static_cast<std::uint32_t>(what.accepted);
      fate.not_entitled = static_cast<std::uint32_t>(what.not_entitled);
      fate.shed = static_cast<std::uint32_t>(what.shed);
      counts.accepted += what.accepted;
      counts.not_entitled += what.not_entitled;
      counts.shed += what.shed;
      counts.answered += fate.count;
    } else if (answer.status == 408 || answer.status == 429 || answer.status >= 500) {
      ++fate.refusals;
      counts.refused_bodies += 1;
      counts.refused_events += fate.count;
      if (plan_.repeats)
        repeat_later(c.fate, c.attempt + 1, std::int64_t{answer.retry_after_s} * second_ns);
    } else {
      note_strange(answer);
    }
    const bool keep = !failed && answer.keep_alive && c.written == c.head.size() + body_of(c.fate).bytes.size();
    release(index, keep);
  }

  void note_strange(const http_answer_view& answer) {
    owner_.counts_.other += 1;
    if (owner_.strange_.empty())
      owner_.strange_ = fmt::format("{} {}", answer.status, answer.body.substr(0, 300));
  }

  void repeat_later(std::size_t fate, std::uint32_t attempt, std::int64_t at_least) {
    const auto whole = std::min(longest_backoff_ns, first_backoff_ns << std::min(attempt, 6u));
    const auto backoff = std::uniform_int_distribution<std::int64_t>{whole / 2, whole}(jitter_);
    again_.push({steady_now_ns() + at_least + (at_least > 0 ? backoff / 4 : backoff), fate, attempt});
  }

  void broken(std::size_t index) {
    auto& c = connections_[index];
    owner_.counts_.broken += 1;
    if (c.busy) {
      if (plan_.repeats)
        again_.push({steady_now_ns() + reconnect_after_ns, c.fate, c.attempt});
      else
        owner_.counts_.dropped += owner_.fates_[c.fate].count;
    }
    release(index, false);
  }

  void release(std::size_t index, bool keep) {
    auto& c = connections_[index];
    if (!keep && c.fd >= 0) {
      ::close(c.fd);
      c.fd = -1;
    }
    c.answer.clear();
    if (std::exchange(c.busy, false)) {
      --under_way_;
      free_.push_back(index);
    }
  }

  void wait(std::int64_t now) {
    std::int64_t until = now + second_ns / 10;
    if (!owner_.ending_ && plan_.events_per_second > 0)
      until = std::min(until, due_of_next());
    if (!again_.empty() && !free_.empty())
      until = std::min(until, again_.top().at);
    const auto left = std::max<std::int64_t>(0, until - now);
    epoll_event events[64];
    const timespec timeout{left / second_ns, left % second_ns};
    const int n = ::epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
    for (int i = 0; i < n; ++i) {
      const auto index = events[i].data.u64;
      auto& c = connections_[index];
      if (c.fd < 0)
        continue;
      if ((events[i].events & EPOLLOUT) && c.busy)
        write(index);
      if (c.fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read(index);
    }
  }

  load_sender& owner_;
  const load_plan& plan_;
  const std::int64_t started_, wall_offset_;
  std::vector<connection> connections_;
  std::deque<std::size_t> free_, waiting_; // connections; fates
  std::priority_queue<repeat> again_;
  std::uint64_t due_events_ = 0;
  std::size_t under_way_ = 0;
  std::string authorization_;
  std::minstd_rand jitter_{std::random_device{}()};
  int epoll_ = -1;
};

load_sender::load_sender(load_plan plan) : plan_(std::move(plan)) {
  if (!plan_.pool || plan_.pool->bodies.empty() || plan_.connections == 0)
    throw std::invalid_argument("a load needs bodies and a connection");
  fates_.reserve(plan_.cycles ? 1 << 16 : plan_.pool->bodies.size());
}

load_sender::~load_sender() {
  abandon_ = true;
  if (thread_.joinable())
    thread_.join();
}

void load_sender::start() {
  thread_ = std::thread{[this] { run(); }};
  pthread_setname_np(thread_.native_handle(), "load");
}

void load_sender::run() {
  loop{*this}.run();
  done_ = true;
}

bool load_sender::finish(std::chrono::milliseconds patience) {
  end();
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!done_ && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  abandon_ = true;
  if (thread_.joinable())
    thread_.join();
  return all_answered_;
}

load_counts load_sender::counts() const {
  load_counts x;
  x.due_events = counts_.due;
  x.accepted = counts_.accepted;
  x.not_entitled = counts_.not_entitled;
  x.shed = counts_.shed;
  x.answered_events = counts_.answered;
  x.refused_bodies = counts_.refused_bodies;
  x.refused_events = counts_.refused_events;
  x.dropped_events = counts_.dropped;
  x.broken = counts_.broken;
  x.other_answers = counts_.other;
  return x;
}

} // namespace weir::drills
