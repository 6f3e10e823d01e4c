#include "drills/generate_events.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include <fmt/format.h>

namespace weir::generate {

namespace {

/// The finalizer of SplitMix64: a bijection, so different inputs never meet.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

constexpr std::uint64_t seed_stride = 0xd1342543de82ef95; // odd and large: seeds' counters lie far apart

struct hex_table {
  char pairs[256][2];
  constexpr hex_table() : pairs() {
    for (int i = 0; i < 256; ++i) {
      pairs[i][0] = "0123456789abcdef"[i >> 4];
      pairs[i][1] = "0123456789abcdef"[i & 15];
    }
  }
};
constexpr hex_table hex;

void put_hex16(char* to, std::uint64_t x) noexcept {
  for (int i = 7; i >= 0; --i, x >>= 8)
    std::memcpy(to + 2 * i, hex.pairs[x & 0xff], 2);
}

void put_zone(char* to, std::uint64_t rank) noexcept {
  put_hex16(to, mix(rank * 2 + 1));
  put_hex16(to + 16, mix(mix(rank * 2 + 2)));
}

struct decimal_table {
  char pairs[100][2];
  constexpr decimal_table() : pairs() {
    for (int i = 0; i < 100; ++i) {
      pairs[i][0] = static_cast<char>('0' + i / 10);
      pairs[i][1] = static_cast<char>('0' + i % 10);
    }
  }
};
constexpr decimal_table decimal;

/// Exactly `digits` digits.
void put_decimal(char* to, std::uint64_t x, int digits) noexcept {
  for (; digits >= 2; digits -= 2, x /= 100)
    std::memcpy(to + digits - 2, decimal.pairs[x % 100], 2);
  if (digits == 1)
    *to = static_cast<char>('0' + x % 10);
}

template <std::size_t N>
const char* pick(const std::array<const char*, N>& from, std::uint64_t& random) noexcept {
  random = mix(random);
  return from[random % N];
}

constexpr std::array user_agents{
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.6723.58 Mobile "
    "Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Tiny Tiny RSS/1.11 (http://tt-rss.org/)",
    "curl/7.88.1",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
};
constexpr std::array methods{"GET", "GET", "GET", "GET", "GET", "GET", "POST", "HEAD"};
constexpr std::array hosts{"www.shop.example",  "api.shop.example", "blog.example",     "static.news.example",
                           "docs.tool.example", "m.travel.example", "cdn.game.example", "login.bank.example"};
constexpr std::array sections{"presentations", "articles", "products", "images", "api/v2/orders", "api/v2/users",
                              "static/css",    "files",    "projects", "blog",   "search",        "checkout"};
constexpr std::array endings{"index.html", "main.css", "logo.png", "kibana-dashboard.png", "feed.xml", "app.js", "",
                             "list",       "detail",   "thumb.jpg"};
constexpr std::array cache_states{"hit", "hit", "hit", "miss", "dynamic", "expired", "revalidated"};
constexpr std::array countries{"us", "de", "gb", "fr", "jp", "br", "in", "nl"};
constexpr std::array statuses{"200", "200", "200", "200", "200", "206", "301", "304", "404", "503"};

constexpr std::size_t form_count = 512;
/// 14 November 2024, 03:00 UTC, in ns; each event is 1 us later than the one before.
constexpr std::uint64_t first_start_ns = 1'731'553'200'000'000'000;

} // namespace

std::string zone_id(std::uint64_t rank) {
  std::string id(32, '0');
  put_zone(id.data(), rank);
  return id;
}

event_generator::event_generator(const traffic& what) : what_(what) {
  if (what.seed == 0 || what.seed > (1ull << 48))
    throw std::invalid_argument("the seed must lie between 1 and 2^48");
  if (what.zones == 0 || what.zones > 10'000'000)
    throw std::invalid_argument("between 1 and 10,000,000 zones are possible");
  if (!(what.zipf >= 0 && what.zipf <= 10))
    throw std::invalid_argument("the Zipf exponent must lie between 0 and 10");
  forms_.reserve(form_count);
  for (std::size_t i = 0; i < form_count; ++i)
    forms_.push_back(make_form(i));
  if (what.zipf == 0)
    return;
  // Walker's alias method: each column keeps its own rank or gives the draw to one other.
  const auto n = static_cast<std::size_t>(what.zones);
  std::vector<double> share(n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i)
    sum += share[i] = std::pow(static_cast<double>(i + 1), -what.zipf);
  std::vector<std::uint32_t> small, large;
  for (std::size_t i = 0; i < n; ++i) {
    share[i] *= static_cast<double>(n) / sum;
    (share[i] < 1 ? small : large).push_back(static_cast<std::uint32_t>(i));
  }
  keep_below_.assign(n, ~std::uint32_t{0});
  alias_.resize(n);
  for (std::size_t i = 0; i < n; ++i)
    alias_[i] = static_cast<std::uint32_t>(i);
  while (!small.empty() && !large.empty()) {
    const auto low = small.back(), high = large.back();
    small.pop_back();
    keep_below_[low] = static_cast<std::uint32_t>(share[low] * 4294967295.0);
    alias_[low] = high;
    share[high] -= 1 - share[low];
    if (share[high] < 1) {
      large.pop_back();
      small.push_back(high);
    }
  }
}

event_generator::form event_generator::make_form(std::uint64_t number) const {
  auto random = mix(what_.seed * seed_stride ^ mix(number));
  std::string text;
  const auto hole = [&](std::string_view before, std::size_t size) {
    text += before;
    const auto at = static_cast<std::uint32_t>(text.size());
    text.append(size, '0');
    return at;
  };
  form f;
  f.ray = hole(R"({"RayID":")", 16);
  f.zone = hole(R"(","ZoneID":")", 32);
  f.start = hole(R"(","EdgeStartTimestamp":)", 19);
  f.ip = hole(R"(,"ClientIP":")", 15);
  text[f.ip + 3] = text[f.ip + 7] = text[f.ip + 11] = '.';
  f.port = hole(R"(","ClientSrcPort":)", 5);
  // One draw a statement: the order of a call's arguments is the compiler's to choose.
  const auto* country = pick(countries, random);
  const auto* method = pick(methods, random);
  const auto* host = pick(hosts, random);
  const auto* section = pick(sections, random);
  const auto* ending = pick(endings, random);
  const auto* agent = pick(user_agents, random);
  const auto* cache = pick(cache_states, random);
  const auto* status = pick(statuses, random);
  random = mix(random);
  const auto referer = random % 4 ? fmt::format("https://{}/{}/", host, section) : std::string{};
  text += fmt::format(R"(,"ClientCountry":"{}","ClientASN":{},"ClientRequestMethod":"{}","ClientRequestHost":"{}",)"
                      R"("ClientRequestURI":"/{}/{}/{}","ClientRequestProtocol":"HTTP/{}","ClientRequestReferer":"{}",)"
                      R"("ClientRequestUserAgent":"{}","CacheCacheStatus":"{}","EdgeResponseStatus":{})",
                      country, 1'000 + (random >> 8) % 60'000, method, host, section, (random >> 24) % 5'000, ending,
                      random % 3 ? "2" : "1.1", referer, agent, cache, status);
  f.bytes = hole(R"(,"EdgeResponseBytes":)", 5);
  f.first_byte_ms = hole(R"(,"EdgeTimeToFirstByteMs":)", 3);
  text += fmt::format(R"(,"{}":"{:012x}","{}":)", sender_field, what_.seed, counter_field);
  f.text = std::move(text);
  return f;
}

std::uint64_t event_generator::draw(std::uint64_t counter) const noexcept {
  return mix(mix(what_.seed * seed_stride) ^ mix(counter));
}

std::uint64_t event_generator::zone_rank(std::uint64_t counter) const noexcept {
  const auto random = mix(draw(counter));
  const auto column = static_cast<std::uint64_t>((static_cast<unsigned __int128>(random) * what_.zones) >> 64);
  if (alias_.empty())
    return column;
  // The low half is as good as independent of the column, which the high bits chose.
  return static_cast<std::uint32_t>(random) <= keep_below_[column] ? column : alias_[column];
}

std::string event_generator::ray_id(std::uint64_t counter) const {
  std::string id(16, '0');
  put_hex16(id.data(), mix(what_.seed * seed_stride + counter));
  return id;
}

void event_generator::append(std::uint64_t counter, std::string& out) const {
  const auto random = draw(counter);
  const auto& f = forms_[random % form_count];
  const auto at = out.size();
  out.append(f.text);
  auto* to = out.data() + at;
  put_hex16(to + f.ray, mix(what_.seed * seed_stride + counter));
  put_zone(to + f.zone, zone_rank(counter));
  const auto start = first_start_ns + counter * 1'000;
  const auto took = 1 + (random >> 20) % 997;
  put_decimal(to + f.start, start, 19);
  put_decimal(to + f.ip, 100 + (random >> 30) % 123, 3);
  put_decimal(to + f.ip + 4, 100 + (random >> 37) % 100, 3);
  put_decimal(to + f.ip + 8, 100 + (random >> 44) % 156, 3);
  put_decimal(to + f.ip + 12, 100 + (random >> 52) % 156, 3);
  put_decimal(to + f.port, 20'000 + (random >> 9) % 40'000, 5);
  put_decimal(to + f.bytes, 10'000 + (random >> 13) % 89'999, 5);
  put_decimal(to + f.first_byte_ms, 100 + took % 900, 3);
  char digits[24];
  auto* end = fmt::format_to(digits, FMT_STRING("{}"), counter);
  *end++ = '}';
  *end++ = '\n';
  out.append(digits, static_cast<std::size_t>(end - digits));
}

} // namespace weir::generate
