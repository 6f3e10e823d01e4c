#include <doctest/doctest.h>

#include <optional>

#include "messages/credit.hpp"
#include "messages/receipt.hpp"

using namespace weir;

namespace {

struct watched_receipt {
  std::optional<receipt_outcome> result;
  std::shared_ptr<receipt> shared = std::make_shared<receipt>([this](receipt& r) { result = r.outcome(); });
};

} // namespace

TEST_CASE("a body succeeds only when every slice of it was settled") {
  watched_receipt watched;
  ticket first{watched.shared};
  ticket second{watched.shared};
  first.durable(3);
  CHECK_FALSE(watched.result);
  second.durable(2);
  REQUIRE(watched.result);
  CHECK_FALSE(watched.result->failed);
  CHECK_EQ(watched.result->accepted, 5u);
}

TEST_CASE("a slice that is destroyed unsettled fails its whole body") {
  watched_receipt watched;
  ticket first{watched.shared};
  { ticket lost{watched.shared}; }
  first.durable(3);
  REQUIRE(watched.result);
  CHECK(watched.result->failed);
}

TEST_CASE("a moved ticket is settled once") {
  watched_receipt watched;
  ticket first{watched.shared};
  ticket second{std::move(first)};
  ticket third;
  third = std::move(second);
  third.durable(1);
  REQUIRE(watched.result);
  CHECK_EQ(watched.result->accepted, 1u);
}

TEST_CASE("a passing refusal names the scope to send again, a lasting one does not") {
  watched_receipt watched;
  ticket a{watched.shared};
  ticket b{watched.shared};
  a.shed(job_id{7}, shed_reason::tenant_share, 4, "zones/a");
  b.shed(job_id{8}, shed_reason::job_quota, 2, "zones/b");
  REQUIRE(watched.result);
  CHECK_FALSE(watched.result->failed);
  CHECK(watched.result->passing_shed());
  CHECK_EQ(watched.result->total_shed(), 6u);
  REQUIRE_EQ(watched.result->retry_scopes.size(), 1u);
  CHECK_EQ(watched.result->retry_scopes[0], "zones/a");
  CHECK_EQ(watched.shared->take_entries().size(), 2u);
}

TEST_CASE("credit is refused beyond the window and returns with its owner") {
  auto window = std::make_shared<credit_window>(credit_window::limits{100, 2});
  auto first = credit::acquire(window, 60);
  REQUIRE(first);
  CHECK_FALSE(credit::acquire(window, 50));
  auto second = credit::acquire(window, 40);
  REQUIRE(second);
  CHECK_FALSE(credit::acquire(window, 0));
  first.reset();
  CHECK(credit::acquire(window, 10));
  CHECK_EQ(window->used().bytes, 40u);
}

TEST_CASE("a message larger than its window passes alone, so that it cannot starve") {
  auto window = std::make_shared<credit_window>(credit_window::limits{100, 8});
  auto huge = credit::acquire(window, 1'000);
  REQUIRE(huge);
  CHECK_FALSE(credit::acquire(window, 1));
  huge.reset();
  CHECK(credit::acquire(window, 1));
}
