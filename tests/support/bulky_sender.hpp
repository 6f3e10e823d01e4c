#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "tests/support/running_node.hpp"

namespace weir {

/// Posts events that hardly pack, so that a disk fills within a second, and counts what was accepted.
class bulky_sender {
 public:
  explicit bulky_sender(running_node& node, std::uint64_t seed = 1) : node_(node), random_(seed) {}

  static constexpr std::size_t events_per_body = 2;
  static constexpr std::size_t event_bytes = 100'000;

  /// One body under a key of its own.
  http_answer post() {
    auto answer = node_.post(body(), {{"Idempotency-Key", "bulk-" + std::to_string(next_)}});
    if (answer.status == 200) {
      const auto parsed = nlohmann::json::parse(answer.body, nullptr, false);
      const auto taken = parsed.is_object() ? parsed.value("accepted", std::uint64_t{0}) : 0;
      accepted += taken;
      if (taken < events_per_body)
        answer.status = 0; // A part was shed: no success.
    }
    return answer;
  }

  std::uint64_t accepted = 0; ///< Events.

 private:
  std::string body() {
    static constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < events_per_body; ++i) {
      text += R"({"ZoneID":")" + zone_ + R"(","RayID":")" + std::to_string(next_++) + R"(","Bulk":")";
      for (std::size_t n = 0; n < event_bytes; n += 10) {
        auto bits = random_();
        for (int k = 0; k < 10; ++k, bits >>= 6)
          text += letters[bits & 63];
      }
      text += "\"}\n";
    }
    return text;
  }

  running_node& node_;
  std::mt19937_64 random_;
  std::uint64_t next_ = 0;
  std::string zone_ = running_node::zones(1).front();
};

} // namespace weir
