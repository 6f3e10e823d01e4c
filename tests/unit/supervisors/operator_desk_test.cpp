#include "supervisors/operator_desk.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <stdexcept>

using namespace weir;
using namespace std::chrono_literals;

TEST_CASE("the desk does what is posted in order, and goes on after what throws") {
  operator_desk desk({}, 1h);
  std::string done;
  std::promise<void> last;
  REQUIRE(desk.post([&] { done += 'a'; }));
  REQUIRE(desk.post([] { throw std::runtime_error("a test's own"); }));
  REQUIRE(desk.post([&] {
    done += 'b';
    last.set_value();
  }));
  REQUIRE(last.get_future().wait_for(20s) == std::future_status::ready);
  CHECK(done == "ab");
}

TEST_CASE("more than the desk can take is refused at once, and the end waits for no queue") {
  std::promise<void> go, begun;
  std::atomic<int> done{0};
  {
    operator_desk desk({}, 1h);
    REQUIRE(desk.post([&, gate = go.get_future().share()] {
      begun.set_value();
      gate.wait();
    }));
    begun.get_future().wait();
    for (std::size_t i = 0; i < operator_desk::most_waiting; ++i)
      CHECK(desk.post([&] { ++done; }));
    CHECK_FALSE(desk.post([&] { ++done; }));
    go.set_value();
  }
  CHECK(done <= static_cast<int>(operator_desk::most_waiting));
}

TEST_CASE("the desk keeps doing its duties, also while questions are asked") {
  std::promise<void> third;
  int times = 0;
  operator_desk desk({[&] {
                       if (++times == 3)
                         third.set_value();
                     }},
                     1ms);
  CHECK(third.get_future().wait_for(20s) == std::future_status::ready);
}
