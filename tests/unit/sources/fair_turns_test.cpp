#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "actors/sources/fair_turns.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/test_seed.hpp"

using namespace weir;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mib = 1u << 20;

/// A node that gets `bytes_per_second` done, one body after the other, and senders that always have another one.
struct busy_node {
  std::shared_ptr<fake_clock> clock = std::make_shared<fake_clock>();
  std::shared_ptr<fair_turns> turns = std::make_shared<fair_turns>(fair_turns::settings{}, clock);
  double bytes_per_second = 100.0 * mib;
  struct body {
    std::string sender;
    std::uint64_t bytes;
    fair_turns::turn_ptr turn;
    std::chrono::steady_clock::time_point asked;
  };
  std::vector<body> queue; // of the node; first in, first out
  std::map<std::string, std::uint64_t> done;
  std::map<std::string, std::chrono::nanoseconds> longest;

  /// A turn that ends gives the next one, which joins the queue.
  ~busy_node() {
    while (!queue.empty())
      std::exchange(queue, {});
  }

  void offer(const std::string& sender, std::uint64_t bytes) {
    fair_turns::waiter_id waits = 0;
    const auto asked = clock->steady();
    auto turn = turns->ask(
        sender, 0,
        [this, sender, bytes, asked](fair_turns::turn_ptr given) {
          given->weigh(bytes);
          queue.push_back({sender, bytes, std::move(given), asked});
        },
        waits);
    if (turn) {
      turn->weigh(bytes);
      queue.push_back({sender, bytes, std::move(turn), asked});
    }
  }

  /// Does the oldest body. Its sender's name.
  std::string work() {
    auto next = std::move(queue.front());
    queue.erase(queue.begin());
    clock->advance(
        std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(next.bytes) / bytes_per_second * 1e9)});
    done[next.sender] += next.bytes;
    longest[next.sender] = std::max<std::chrono::nanoseconds>(longest[next.sender], clock->steady() - next.asked);
    next.turn->answered();
    return next.sender;
  }
};

} // namespace

TEST_CASE("a sender below its even share is served within the target, however much others send") {
  busy_node node;
  for (int i = 0; i < 64; ++i)
    node.offer("flood", mib);
  std::chrono::steady_clock::time_point next_steady = node.clock->steady();
  const auto until = next_steady + 20s;
  while (node.clock->steady() < until) {
    for (; node.clock->steady() >= next_steady; next_steady += 10ms) // 25 of 100 MiB a second
      node.offer("steady", mib / 4);
    if (node.work() == "flood")
      node.offer("flood", mib);
    if (node.clock->steady() < until - 18s)
      node.longest.clear(); // the rate of the node is not known from the first body on
  }
  MESSAGE("longest ", node.longest["steady"].count() / 1'000'000, " ms of steady, ",
          node.longest["flood"].count() / 1'000'000, " ms of flood");
  CHECK(node.longest["steady"] < 300ms);
  CHECK(node.longest["flood"] > 500ms);
  CHECK(node.done["steady"] >= 24 * 20 * mib);
  CHECK(node.done["flood"] >= 70 * 20 * mib); // what is left is not wasted
}

TEST_CASE("senders that all want more get even shares in bytes, whatever the size of their bodies") {
  busy_node node;
  const std::map<std::string, std::uint64_t> sizes{{"a", 4 * mib}, {"b", mib}, {"c", mib / 8}};
  for (const auto& [name, bytes] : sizes)
    for (int i = 0; i < 64; ++i)
      node.offer(name, bytes);
  const auto until = node.clock->steady() + 30s;
  while (node.clock->steady() < until) {
    const auto name = node.work();
    node.offer(name, sizes.at(name));
  }
  for (const auto& [name, bytes] : sizes) {
    INFO(name, ": ", node.done[name] / mib, " MiB");
    CHECK(node.done[name] > 900 * mib);
    CHECK(node.done[name] < 1'100 * mib);
  }
}

TEST_CASE("a lone sender has all of the node, and is not held back while the node keeps up") {
  busy_node node;
  for (int more : {4, 4}) { // and more once it is known how fast the node is
    for (int i = 0; i < more; ++i)
      node.offer("only", mib);
    CHECK_EQ(node.turns->look().waiting, 0u);
    for (int i = 0; i < 1'000; ++i) {
      node.work();
      node.offer("only", mib);
    }
    CHECK_EQ(node.turns->look().waiting, 0u);
  }
}

TEST_CASE("on a disk that is slow by itself more may be under way, so that it is not idle") {
  auto clock = std::make_shared<fake_clock>();
  auto turns = std::make_shared<fair_turns>(fair_turns::settings{}, clock);
  // Every body takes 400 ms, and any number of them at a time.
  fair_turns::waiter_id waits = 0;
  std::vector<fair_turns::turn_ptr> under_way;
  for (int round = 0; round < 30; ++round) {
    while (auto turn = turns->ask(
               "a", 0, [](const fair_turns::turn_ptr&) {}, waits)) {
      turn->weigh(mib);
      under_way.push_back(std::move(turn));
    }
    CHECK(turns->withdraw(waits));
    clock->advance(400ms);
    for (auto& x : under_way)
      x->answered();
    under_way.clear();
  }
  CHECK(turns->look().bytes_allowed > 100 * mib);
}

TEST_CASE("what is reserved for bodies with a turn stays within half of the memory, also when that shrinks") {
  auto clock = std::make_shared<fake_clock>();
  std::uint64_t memory = 40 * mib;
  fair_turns::settings how;
  how.memory = [&] { return memory; };
  auto turns = std::make_shared<fair_turns>(how, clock);
  std::vector<fair_turns::turn_ptr> under_way;
  std::vector<fair_turns::waiter_id> waiting;
  const auto take = [&](fair_turns::turn_ptr given) { under_way.push_back(std::move(given)); };
  const auto ask = [&](const std::string& sender) {
    fair_turns::waiter_id waits = 0;
    if (auto turn = turns->ask(sender, mib, take, waits))
      under_way.push_back(std::move(turn));
    else
      waiting.push_back(waits);
  };
  // A fast node of small bodies, whose target alone would let hundreds pass, 1 MiB reserved for each.
  for (int i = 0; i < 20'000; ++i) {
    ask("a");
    under_way.back()->weigh(mib / 16);
    clock->advance(100us);
    under_way.back()->answered();
    under_way.clear();
  }
  REQUIRE(waiting.empty());
  for (int i = 0; i < 100; ++i)
    ask(i % 2 ? "a" : "b");
  CHECK_EQ(under_way.size(), 20);
  CHECK_EQ(turns->look().bytes_under_way, 20 * mib);
  // What turns out to be small makes room for others at once.
  under_way.front()->weigh(mib / 16);
  CHECK_EQ(under_way.size(), 20);
  under_way[1]->weigh(mib / 16);
  CHECK_EQ(under_way.size(), 21);
  // And nobody else gets a turn until so much has come back that the rest fits into less.
  memory = 4 * mib;
  while (under_way.size() > 3) {
    const auto before = under_way.size();
    auto gone = std::move(under_way.front());
    under_way.erase(under_way.begin());
    gone.reset();
    REQUIRE_EQ(under_way.size(), before - 1);
  }
  CHECK_LE(turns->look().bytes_under_way, 3 * mib);
  CHECK_GT(turns->look().waiting, 0);
  // Then they come to their turns, two by two.
  while (!under_way.empty()) {
    std::exchange(under_way, {});
    CHECK_LE(turns->look().bytes_under_way, 2 * mib);
  }
  CHECK_EQ(turns->look().waiting, 0);
}

TEST_CASE("senders whose bodies are slow to come take nobody's turn, and count again once a body is whole") {
  auto clock = std::make_shared<fake_clock>();
  auto turns = std::make_shared<fair_turns>(fair_turns::settings{}, clock);
  fair_turns::waiter_id waits = 0;
  std::vector<fair_turns::turn_ptr> slow;
  while (auto turn = turns->ask(
             "slow", mib, [](const fair_turns::turn_ptr&) {}, waits))
    slow.push_back(std::move(turn));
  REQUIRE_EQ(slow.size(), 4);
  REQUIRE(turns->withdraw(waits));
  fair_turns::turn_ptr came;
  const auto at_once = turns->ask(
      "quick", mib, [&](fair_turns::turn_ptr given) { came = std::move(given); }, waits);
  CHECK((at_once == nullptr));
  clock->advance(249ms);
  turns->look_again();
  CHECK((came == nullptr));
  clock->advance(1ms);
  turns->look_again();
  REQUIRE((came != nullptr));
  CHECK_EQ(turns->look().under_way, 1);
  came->weigh(mib);
  came->answered();
  CHECK_EQ(turns->look().bytes_under_way, 0);
  for (auto& x : slow)
    x->weigh(2 * mib);
  CHECK_EQ(turns->look().bytes_under_way, 8 * mib);
  CHECK_EQ(turns->look().under_way, 4);
  slow.clear();
  CHECK_EQ(turns->look().bytes_under_way, 0);
  CHECK_EQ(turns->look().under_way, 0);
}

TEST_CASE("a turn that is given up, lost or never used comes back, and so does a place in the queue") {
  const auto seed = test_seed("fair turns");
  std::mt19937_64 random{seed};
  auto clock = std::make_shared<fake_clock>();
  auto turns = std::make_shared<fair_turns>(fair_turns::settings{}, clock);
  std::vector<fair_turns::turn_ptr> held;
  std::vector<fair_turns::waiter_id> waiting;
  std::size_t came = 0;
  for (int i = 0; i < 20'000; ++i) {
    clock->advance(1ms);
    switch (random() % 5) {
      case 0:
      case 1: {
        fair_turns::waiter_id waits = 0;
        if (auto turn = turns->ask(
                random() % 2 ? "a" : "b", random() % mib, [&](const fair_turns::turn_ptr&) { ++came; }, waits))
          held.push_back(std::move(turn));
        else
          waiting.push_back(waits);
        break;
      }
      case 2:
        if (!held.empty()) {
          held.back()->weigh(random() % (4 * mib));
          held.back()->answered();
          if (random() % 2)
            held.pop_back();
        }
        break;
      case 3:
        if (!held.empty())
          held.erase(held.begin() + static_cast<std::ptrdiff_t>(random() % held.size()));
        break;
      case 4:
        if (!waiting.empty()) {
          turns->withdraw(waiting.back());
          waiting.pop_back();
        }
        break;
    }
  }
  held.clear();
  for (const auto x : waiting)
    turns->withdraw(x);
  CHECK_GT(came, 0u);
  CHECK_EQ(turns->look().waiting, 0u);
  CHECK_EQ(turns->look().under_way, 0u);
  CHECK_EQ(turns->look().bytes_under_way, 0u);
}
