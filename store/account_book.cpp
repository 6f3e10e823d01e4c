#include "store/account_book.hpp"

#include <algorithm>

#include "messages/receipt.hpp"

namespace weir::store {

account_book::compact_account& account_book::at(slot job) {
  if (job >= jobs_.size())
    jobs_.resize(job + std::size_t{1});
  return jobs_[job];
}

account_book::rare_account& account_book::rare(slot job) {
  auto& x = at(job);
  if (x.rare == 0) {
    rare_.emplace_back();
    x.rare = static_cast<std::uint32_t>(rare_.size());
  }
  return rare_[x.rare - 1];
}

sender_account& account_book::sender(const std::string& name) {
  auto [at, added] = sender_by_name_.emplace(name, static_cast<std::uint32_t>(senders_.size()));
  if (added) {
    senders_.emplace_back();
    sender_names_.push_back(name);
  }
  return senders_[at->second];
}

void account_book::accept(slot job, std::uint64_t events) {
  auto& x = at(job);
  x.accepted += events;
  x.buffered += events;
}

void account_book::accept_damaged(slot job, std::uint64_t events) {
  at(job).accepted += events;
  rare(job).ended[static_cast<std::size_t>(event_end::set_aside)] += events;
}

void account_book::end(slot job, event_end how, std::uint64_t events) {
  if (events == 0)
    return;
  auto& x = at(job);
  x.buffered -= events;
  if (how == event_end::delivered)
    x.delivered += events;
  else
    rare(job).ended[static_cast<std::size_t>(how)] += events;
}

void account_book::deliver_object(slot job) {
  ++at(job).objects;
}

void account_book::apply(const proto::LedgerDelta& line, std::optional<slot> job) {
  using kind = ledger_entry::kind;
  auto n = line.events();
  switch (static_cast<kind>(line.kind())) {
    case kind::received:
      sender(line.sender()).received += n;
      break;
    case kind::not_entitled:
      sender(line.sender()).not_entitled += n;
      break;
    case kind::offered:
      sender(line.sender()).offered += n;
      break;
    case kind::turned_back:
      sender(line.sender()).turned_back += n;
      break;
    case kind::rejected:
      if (line.reason() < reject_reason_count)
        sender(line.sender()).rejected[line.reason()] += n;
      break;
    case kind::repeated:
      if (job)
        rare(*job).repeated += n;
      break;
    case kind::filtered:
      if (job)
        rare(*job).filtered += n;
      break;
    case kind::sampled_out:
      if (job)
        rare(*job).sampled_out += n;
      break;
    case kind::shed:
      if (job && line.reason() < shed_reason_count)
        rare(*job).shed[line.reason()] += n;
      break;
  }
}

std::uint64_t account_book::set_aside(slot job) const {
  if (job >= jobs_.size() || jobs_[job].rare == 0)
    return 0;
  return rare_[jobs_[job].rare - 1].ended[static_cast<std::size_t>(event_end::set_aside)];
}

job_account account_book::account(slot job) const {
  job_account result;
  if (job >= jobs_.size())
    return result;
  const auto& x = jobs_[job];
  result.accepted = x.accepted;
  result.buffered = x.buffered;
  result.delivered = x.delivered;
  result.delivered_objects = x.objects;
  if (x.rare != 0) {
    const auto& r = rare_[x.rare - 1];
    auto ended = [&](event_end how) { return r.ended[static_cast<std::size_t>(how)]; };
    result.repeated = r.repeated;
    result.filtered = r.filtered;
    result.sampled_out = r.sampled_out;
    result.shed = r.shed;
    result.dead_lettered = ended(event_end::dead_lettered);
    result.expired = ended(event_end::expired);
    result.deleted = ended(event_end::deleted);
    result.set_aside = ended(event_end::set_aside);
    result.lost = ended(event_end::lost);
  }
  return result;
}

std::uint64_t account_book::check_balance(std::size_t most) {
  for (; most > 0 && checked_ < jobs_.size(); --most, ++checked_)
    found_ += !account(checked_).balances();
  if (checked_ < jobs_.size())
    return std::max(found_, found_last_);
  for (const auto& x : senders_)
    found_ += !x.balances();
  found_last_ = found_;
  found_ = 0;
  checked_ = 0;
  return found_last_;
}

account_book::slot account_book::collect(const job_table& jobs, slot first, slot most, ledger_totals& into) const {
  const auto all = static_cast<slot>(jobs.size());
  const auto end = all - first > most ? first + most : all;
  for (; first < end && first < jobs_.size(); ++first)
    into.jobs.emplace_hint(into.jobs.end(), job_id{jobs.at(first).job}, account(first));
  return end;
}

void account_book::collect_senders(ledger_totals& into) const {
  for (std::size_t i = 0; i < senders_.size(); ++i)
    into.senders.emplace(sender_names_[i], senders_[i]);
}

void account_book::save_job(slot job, byte_writer& to) const {
  static const compact_account nothing;
  const auto& x = job < jobs_.size() ? jobs_[job] : nothing;
  for (auto n : {x.accepted, x.buffered, x.delivered})
    to.varint(n);
  to.varint(x.objects);
  to.u8(x.rare != 0);
  if (x.rare == 0)
    return;
  const auto& r = rare_[x.rare - 1];
  for (auto n : {r.repeated, r.filtered, r.sampled_out})
    to.varint(n);
  to.u8(static_cast<std::uint8_t>(r.shed.size()));
  for (auto n : r.shed)
    to.varint(n);
  to.u8(static_cast<std::uint8_t>(r.ended.size()));
  for (auto n : r.ended)
    to.varint(n);
}

namespace {

// Arrays carry their length, so that a build with fewer or more reasons still reads them.
template <class Array>
void load_array(Array& into, byte_reader& from) {
  auto size = from.u8();
  for (std::size_t i = 0; i < size; ++i) {
    auto n = from.varint();
    if (i < into.size())
      into[i] = n;
  }
}

} // namespace

void account_book::load_job(slot job, byte_reader& from) {
  auto& x = at(job);
  for (auto* n : {&x.accepted, &x.buffered, &x.delivered})
    *n = from.varint();
  x.objects = static_cast<std::uint32_t>(from.varint());
  if (from.u8() == 0)
    return;
  auto& r = rare(job);
  for (auto* n : {&r.repeated, &r.filtered, &r.sampled_out})
    *n = from.varint();
  load_array(r.shed, from);
  load_array(r.ended, from);
}

void account_book::save_sender(std::size_t index, byte_writer& to) const {
  const auto& x = senders_[index];
  to.text(sender_names_[index]);
  for (auto n : {x.received, x.not_entitled, x.offered})
    to.varint(n);
  to.u8(static_cast<std::uint8_t>(x.rejected.size()));
  for (auto n : x.rejected)
    to.varint(n);
}

void account_book::load_sender(byte_reader& from) {
  auto& x = sender(std::string(from.text()));
  for (auto* n : {&x.received, &x.not_entitled, &x.offered})
    *n = from.varint();
  load_array(x.rejected, from);
}

void account_book::save_sender_more(std::size_t index, byte_writer& to) const {
  to.text(sender_names_[index]);
  to.varint(senders_[index].turned_back);
}

void account_book::load_sender_more(byte_reader& from) {
  auto& x = sender(std::string(from.text()));
  x.turned_back = from.varint();
}

std::uint64_t account_book::bytes() const {
  return jobs_.size() * sizeof(compact_account) + rare_.size() * sizeof(rare_account)
         + senders_.size() * (sizeof(sender_account) + 2 * sizeof(std::string) + 48);
}

} // namespace weir::store
