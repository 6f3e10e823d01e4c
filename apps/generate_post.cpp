#include "apps/generate_post.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

// Before any of Boost: whoever uses Asio in this program has to agree on how it is compiled.
#include "actors/http/asio.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <csignal>

#include "apps/generate_url.hpp"

namespace weir::generate {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_backoff = 50ms;
constexpr std::chrono::milliseconds longest_backoff = 5s;
constexpr std::chrono::seconds longest_retry_after = 60s;
constexpr std::chrono::seconds connect_within = 10s;
constexpr std::size_t max_answer_bytes = 1 << 20;

bool is_worth_repeating(unsigned status) noexcept {
  return status == 408 || status == 429 || status >= 500;
}

/// Pace, counts and end of all connections together.
struct shared_work {
  asio::io_context io{1};
  body_source& from;
  const post_options& how;
  ingest_url url;
  post_counts counts;
  tcp::resolver::results_type endpoints;
  steady::time_point started = steady::now();
  steady::time_point last_acknowledged = steady::now();
  std::uint64_t events_handed_out = 0;
  bool no_more = false;   ///< The source is at its end, or somebody asked to stop.
  unsigned under_way = 0; ///< Bodies that were taken and not acknowledged.
  std::string error;
  std::minstd_rand jitter{std::random_device{}()};

  shared_work(body_source& source, const post_options& options)
      : from(source), how(options), url(parse_ingest_url(options.url)) {}

  steady::time_point next_due() const {
    if (how.events_per_second <= 0)
      return steady::time_point::min();
    const std::chrono::duration<double> offset{static_cast<double>(events_handed_out) / how.events_per_second};
    return started + std::chrono::duration_cast<steady::duration>(offset);
  }

  bool take(ready_body& body) {
    if (no_more || !error.empty() || !from.next(body)) {
      no_more = true;
      return false;
    }
    events_handed_out += body.count;
    ++under_way;
    return true;
  }

  void fail(std::string why) {
    if (error.empty())
      error = std::move(why);
    io.stop();
  }

  std::chrono::milliseconds backoff(unsigned attempt) {
    const auto whole = std::min(longest_backoff, first_backoff * (1 << std::min(attempt, 7u)));
    return std::chrono::milliseconds{std::uniform_int_distribution<long>{whole.count() / 2, whole.count()}(jitter)};
  }
};

/// One keep-alive connection: takes a body, sends it until it is acknowledged, takes the next.
template <class Stream>
class connection : public std::enable_shared_from_this<connection<Stream>> {
 public:
  connection(shared_work& work, asio::ssl::context& tls) : work_(work), tls_(tls), timer_(work.io) {}

  void take_body() {
    const auto due = work_.next_due();
    if (due > steady::now() && !work_.no_more)
      return wait(due, [this] { take_body(); });
    if (!work_.take(body_)) {
      close();
      if (work_.under_way == 0)
        work_.io.stop(); // nothing is left; others at most wait for their turn to find that out
      return;
    }
    attempt_ = 0;
    key_ = fmt::format("{}-{}-{}", work_.from.plan().what.seed, work_.how.run, body_.first);
    prepare();
    send();
  }

 private:
  template <class Then>
  void wait(steady::time_point until, Then then) {
    timer_.expires_at(until);
    timer_.async_wait([self = this->shared_from_this(), then](error_code ec) {
      if (!ec)
        then();
    });
  }

  void prepare() {
    request_ = {};
    request_.method(http::verb::post);
    request_.target(work_.url.target);
    request_.version(11);
    request_.set(http::field::host, work_.url.authority);
    request_.set(http::field::user_agent, "weir-generate");
    request_.set(http::field::content_type, "application/x-ndjson");
    request_.set("Idempotency-Key", key_);
    if (!work_.how.token.empty())
      request_.set(http::field::authorization, "Bearer " + work_.how.token.reveal());
    if (work_.from.plan().gzip)
      request_.set(http::field::content_encoding, "gzip");
    request_.body() = beast::span<const char>{body_.bytes.data(), body_.bytes.size()};
    request_.content_length(body_.bytes.size());
  }

  void send() {
    if (!stream_)
      return connect();
    work_.counts.sent_bytes += body_.bytes.size();
    beast::get_lowest_layer(*stream_).expires_after(work_.how.answer_within);
    http::async_write(*stream_, request_, [self = this->shared_from_this()](error_code ec, std::size_t) {
      // A node may answer and close before it has read everything; its answer tells why.
      self->write_error_ = ec;
      self->read_answer();
    });
  }

  void connect() {
    if constexpr (is_tls)
      stream_.emplace(work_.io, tls_);
    else
      stream_.emplace(work_.io);
    buffer_.clear();
    auto& lowest = beast::get_lowest_layer(*stream_);
    lowest.expires_after(connect_within);
    lowest.async_connect(work_.endpoints, [self = this->shared_from_this()](error_code ec, const tcp::endpoint&) {
      if (ec)
        return self->broken();
      beast::get_lowest_layer(*self->stream_).socket().set_option(tcp::no_delay{true}, ec);
      if constexpr (is_tls)
        self->shake_hands();
      else
        self->send();
    });
  }

  void shake_hands() {
    if constexpr (is_tls) {
      SSL_set_tlsext_host_name(stream_->native_handle(), work_.url.host.c_str());
      stream_->set_verify_callback(asio::ssl::host_name_verification{work_.url.host});
      stream_->async_handshake(asio::ssl::stream_base::client, [self = this->shared_from_this()](error_code ec) {
        if (ec && ec.category() == asio::error::get_ssl_category())
          return self->work_.fail(fmt::format("TLS: {}", ec.message()));
        ec ? self->broken() : self->send();
      });
    }
  }

  void read_answer() {
    parser_.emplace();
    parser_->body_limit(max_answer_bytes);
    http::async_read(*stream_, buffer_, *parser_, [self = this->shared_from_this()](error_code ec, std::size_t) {
      ec ? self->broken() : self->handle_answer();
    });
  }

  void handle_answer() {
    const auto& answer = parser_->get();
    const auto status = answer.result_int();
    if (!answer.keep_alive() || write_error_)
      close();
    if (status == 200)
      return acknowledged(answer.body());
    if (is_worth_repeating(status)) {
      ++work_.counts.busy_answers;
      return repeat(answer[http::field::retry_after]);
    }
    work_.fail(
        fmt::format("{} answered {} to body {}: {}", work_.url.authority, status, key_, answer.body().substr(0, 500)));
  }

  void acknowledged(const std::string& text) {
    acknowledged_body receipt;
    receipt.key = key_;
    receipt.first = body_.first;
    receipt.count = body_.count;
    if (!parse_answer(text, receipt))
      return work_.fail(fmt::format("{} answered 200 with something else than counts", work_.url.authority));
    if (work_.how.on_acknowledged)
      work_.how.on_acknowledged(receipt);
    auto& c = work_.counts;
    ++c.bodies;
    c.events += receipt.count;
    c.accepted += receipt.accepted;
    c.not_entitled += receipt.not_entitled;
    c.filtered += receipt.filtered;
    c.shed += receipt.shed;
    c.rejected += receipt.rejected;
    --work_.under_way;
    work_.last_acknowledged = steady::now();
    take_body();
  }

  void broken() {
    ++work_.counts.broken;
    close();
    repeat({});
  }

  void repeat(beast::string_view retry_after) {
    auto delay = work_.backoff(attempt_++);
    unsigned seconds = 0;
    const auto is_number =
        !retry_after.empty() && retry_after.size() < 9
        && std::all_of(retry_after.begin(), retry_after.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (is_number) {
      for (const auto c : retry_after)
        seconds = seconds * 10 + static_cast<unsigned>(c - '0');
      // On top of what was asked, so that all who were turned away do not come back at once.
      if (seconds > 0)
        delay = std::min<std::chrono::milliseconds>(std::chrono::seconds{seconds}, longest_retry_after) + delay / 4;
    }
    wait(steady::now() + delay, [this] { send(); });
  }

  void close() {
    if (stream_)
      beast::get_lowest_layer(*stream_).close();
    stream_.reset();
  }

  static constexpr bool is_tls = !std::is_same_v<Stream, beast::tcp_stream>;

  shared_work& work_;
  asio::ssl::context& tls_;
  asio::steady_timer timer_;
  std::optional<Stream> stream_;
  beast::flat_buffer buffer_;
  ready_body body_;
  std::string key_;
  unsigned attempt_ = 0;
  error_code write_error_;
  http::request<http::span_body<const char>> request_;
  std::optional<http::response_parser<http::string_body>> parser_;
};

/// Twice a second: progress, the end of patience, the end of the work.
class overseer {
 public:
  overseer(shared_work& work, const std::function<void(const post_counts&)>& on_progress)
      : work_(work), on_progress_(on_progress), timer_(work.io), signals_(work.io, SIGINT, SIGTERM) {
    tick();
    watch_signals();
  }

 private:
  void tick() {
    timer_.expires_after(500ms);
    timer_.async_wait([this](error_code ec) {
      if (ec)
        return;
      if (on_progress_)
        on_progress_(work_.counts);
      if (work_.under_way > 0 && steady::now() - work_.last_acknowledged > work_.how.patience)
        return work_.fail(fmt::format("no body was acknowledged for {} s", work_.how.patience.count()));
      if (work_.no_more && work_.under_way == 0)
        return work_.io.stop();
      tick();
    });
  }

  void watch_signals() {
    signals_.async_wait([this](error_code ec, int) {
      if (ec)
        return;
      if (work_.no_more)
        return work_.fail("interrupted before everything was acknowledged");
      work_.no_more = true;
      watch_signals();
    });
  }

  shared_work& work_;
  const std::function<void(const post_counts&)>& on_progress_;
  asio::steady_timer timer_;
  asio::signal_set signals_;
};

template <class Stream>
void run_connections(shared_work& work, asio::ssl::context& tls) {
  for (unsigned i = 0; i < work.how.connections; ++i)
    std::make_shared<connection<Stream>>(work, tls)->take_body();
  work.io.run();
}

} // namespace

post_result post_bodies(body_source& from, const post_options& how,
                        const std::function<void(const post_counts&)>& on_progress) {
  if (how.connections == 0 || how.connections > 10'000)
    throw std::invalid_argument("between 1 and 10,000 connections are possible");
  shared_work work{from, how};
  post_result result;
  error_code ec;
  work.endpoints = tcp::resolver{work.io}.resolve(work.url.host, work.url.port, ec);
  if (ec) {
    result.error = fmt::format("{}: {}", work.url.host, ec.message());
    return result;
  }
  asio::ssl::context tls{asio::ssl::context::tls_client};
  tls.set_verify_mode(asio::ssl::verify_peer);
  if (how.ca_file.empty())
    tls.set_default_verify_paths(ec);
  else
    tls.load_verify_file(how.ca_file, ec);
  if (work.url.tls && ec) {
    result.error = fmt::format("{}: {}", how.ca_file, ec.message());
    return result;
  }
  work.started = work.last_acknowledged = steady::now();
  {
    overseer watch{work, on_progress};
    if (work.url.tls)
      run_connections<beast::ssl_stream<beast::tcp_stream>>(work, tls);
    else
      run_connections<beast::tcp_stream>(work, tls);
  }
  result.counts = work.counts;
  result.error = work.error;
  result.all_acknowledged = work.error.empty() && work.under_way == 0;
  result.took = work.last_acknowledged - work.started;
  return result;
}

} // namespace weir::generate
