#include <doctest/doctest.h>

#include <algorithm>

#include "messages/receipt.hpp"
#include "store/account_book.hpp"

using namespace weir;
using namespace weir::store;

namespace {

proto::LedgerDelta about_sender(ledger_entry::kind kind, std::uint64_t events) {
  proto::LedgerDelta line;
  line.set_sender("s");
  line.set_kind(static_cast<std::uint32_t>(kind));
  line.set_events(events);
  return line;
}

} // namespace

TEST_CASE("accounts that do not balance are found by looking at a few of them at a time") {
  account_book book;
  for (account_book::slot job = 0; job < 10; ++job) {
    book.accept(job, 100);
    book.end(job, event_end::delivered, 60);
    book.end(job, event_end::expired, 10);
  }
  for (int i = 0; i < 6; ++i)
    CHECK_EQ(book.check_balance(4), 0u);
  book.end(1, event_end::delivered, 31); // one more than it has
  book.end(8, event_end::lost, 31);
  std::uint64_t most = 0;
  for (int i = 0; i < 6; ++i)
    most = std::max(most, book.check_balance(4));
  CHECK_EQ(most, 2u);
  book.accept(1, 1);
  book.accept(8, 1);
  for (int i = 0; i < 6; ++i)
    book.check_balance(4);
  CHECK_EQ(book.check_balance(4), 0u);
}

TEST_CASE("a sender's events that went nowhere are found, too") {
  account_book book;
  book.apply(about_sender(ledger_entry::kind::received, 10), {});
  book.apply(about_sender(ledger_entry::kind::offered, 9), {});
  CHECK_EQ(book.check_balance(100), 1u);
  book.apply(about_sender(ledger_entry::kind::not_entitled, 1), {});
  CHECK_EQ(book.check_balance(100), 0u);
}
