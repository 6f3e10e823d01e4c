#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace weir::store {

/// What a store must be, in the plainest way: the reference of the model-based test. It keeps every
/// payload in memory and knows nothing of segments.
class store_model {
 public:
  explicit store_model(std::size_t window) : window_(window) {}

  struct block {
    sequence_range range;
    std::string payload;
    std::uint64_t seconds = 0;
    bool operator==(const block& x) const { return range == x.range && payload == x.payload; }
  };
  struct job_model {
    std::uint64_t current = 0;
    sequence next = 1;
    bool closed = false;
    std::vector<block> blocks;               ///< In order; front ones may be partly gone.
    std::map<std::uint64_t, sequence> marks; ///< By generation: events before it are gone.
    std::vector<block> dead;
    std::optional<proto::Cut> cut;
    std::uint64_t accepted = 0, delivered = 0, dead_lettered = 0, expired = 0, deleted = 0, objects = 0, shed = 0;

    sequence mark(std::uint64_t of) const {
      auto at = marks.find(of);
      return at == marks.end() ? 0 : at->second;
    }
    std::uint64_t live_events(const block& x) const {
      return x.range.end() - std::max(x.range.first, mark(number(x.range.generation)));
    }
    std::uint64_t buffered() const {
      std::uint64_t sum = 0;
      for (const auto& x : blocks)
        sum += live_events(x);
      return sum;
    }
    sequence first_live() const {
      const auto& front = blocks.front();
      return std::max(front.range.first, mark(number(front.range.generation)));
    }
  };

  std::map<std::uint64_t, job_model> jobs;
  std::map<std::string, std::uint64_t> received; ///< By sender.

  void apply(const append_record& x) {
    switch (x.kind) {
      case record_kind::block:
        add_block(x);
        break;
      case record_kind::dead:
        jobs[number(x.job)].dead.push_back({x.range, *x.payload, 0});
        break;
      case record_kind::cut: {
        proto::Cut cut;
        cut.ParseFromString(x.meta);
        jobs[number(x.job)].cut = cut;
        break;
      }
      case record_kind::commit: {
        auto& job = jobs[number(x.job)];
        auto events = end(job, x.range);
        job.delivered += events;
        job.objects += events > 0;
        break;
      }
      case record_kind::trim:
        add_trim(x);
        break;
      case record_kind::closing:
        jobs[number(x.job)].closed = true;
        break;
      case record_kind::batch_done:
      case record_kind::ledger:
        add_account(x);
        break;
      default:
        break;
    }
  }

  /// Everything a store tells, as text; two stores are the same if this is.
  std::string describe() const {
    std::string text;
    for (const auto& [id, job] : jobs) {
      if (job.current != 0)
        text += describe_job(id, job);
      if (job.accepted + job.shed > 0)
        text += fmt::format("account {}: {} {} {} {} {} {} {} {}\n", id, job.accepted, job.buffered(), job.delivered,
                            job.objects, job.dead_lettered, job.expired, job.deleted, job.shed);
    }
    for (const auto& [name, events] : received)
      text += fmt::format("sender {}: {}\n", name, events);
    for (const auto& [batch, ids] : known_)
      for (auto id : ids)
        text += fmt::format("known {} {}\n", batch.low, id);
    for (const auto& x : done_)
      text += fmt::format("done {} {}\n", x.batch.low, x.answer);
    return text;
  }

  /// The same of a real store. `most_batch` is the highest batch ever used.
  static std::string describe(const segmented_store& store, std::uint64_t most_batch) {
    std::map<std::uint64_t, std::string> texts;
    for (const auto& state : store.jobs())
      texts[number(state.job)] = describe_job(store, state);
    auto ledger = store.ledger();
    for (const auto& [id, x] : ledger.jobs)
      if (x.accepted + x.shed[0] > 0)
        texts[number(id)] +=
            fmt::format("account {}: {} {} {} {} {} {} {} {}\n", number(id), x.accepted, x.buffered, x.delivered,
                        x.delivered_objects, x.dead_lettered, x.expired, x.deleted, x.shed[0]);
    std::string text;
    for (const auto& x : texts)
      text += x.second;
    for (const auto& [name, x] : ledger.senders)
      text += fmt::format("sender {}: {}\n", name, x.received);
    for (const auto& x : store.known_slices())
      text += fmt::format("known {} {}\n", x.batch.low, number(x.job));
    for (std::uint64_t low = 1; low <= most_batch; ++low)
      if (auto x = store.done({1, low}))
        text += fmt::format("done {} {}\n", low, x->answer);
    return text;
  }

  /// The index knows arrivals to within a chunk's unit of 64 s, and never too late; a move to another chunk
  /// may round once more.
  bool knows_the_oldest_of(const segmented_store& store) const {
    for (const auto& state : store.jobs()) {
      const auto& blocks = jobs.at(number(state.job)).blocks;
      const auto is = state.oldest_ns / 1'000'000'000;
      const std::uint64_t expected = blocks.empty() ? 0 : blocks.front().seconds;
      if (is > expected || expected - is >= 128)
        return false;
    }
    return true;
  }

  /// Lines of one text that the other has not, marked by their side.
  static std::string difference(const std::string& is, const std::string& expected) {
    auto lines = [](const std::string& text) {
      std::vector<std::string> result;
      for (std::size_t from = 0, to; (to = text.find('\n', from)) != std::string::npos; from = to + 1)
        result.push_back(text.substr(from, to - from));
      return result;
    };
    auto a = lines(is), b = lines(expected);
    std::string text;
    for (const auto& x : a)
      if (std::find(b.begin(), b.end(), x) == b.end())
        text += "  is:       " + x + "\n";
    for (const auto& x : b)
      if (std::find(a.begin(), a.end(), x) == a.end())
        text += "  expected: " + x + "\n";
    return text.empty() ? "  the same lines in another order\n" : text;
  }

 private:
  static std::string describe_cut(const proto::Cut& x) {
    auto text = fmt::format("{}[{} {} {}]", x.object_name(), x.generation(), x.first(), x.count());
    for (const auto& part : x.replaced_by())
      text += " > " + describe_cut(part);
    return text;
  }

  static std::string describe_job(std::uint64_t id, const job_model& job) {
    auto empty = job.blocks.empty();
    auto text =
        fmt::format("job {}: {} {}{} front {} {} events {}\n", id, job.current, job.next, job.closed ? " closed" : "",
                    empty ? job.current : number(job.blocks.front().range.generation),
                    empty ? job.next : job.first_live(), job.buffered());
    for (const auto& x : job.blocks)
      text += fmt::format("  block {} {} {} {}\n", number(x.range.generation), x.range.first, x.range.count,
                          x.payload.size());
    for (const auto& x : job.dead)
      text += fmt::format("  dead {} {} {} {}\n", number(x.range.generation), x.range.first, x.range.count,
                          x.payload.size());
    if (job.cut)
      text += fmt::format("  cut {}\n", describe_cut(*job.cut));
    return text;
  }

  static std::string describe_job(const segmented_store& store, const job_state& x) {
    auto text = fmt::format("job {}: {} {}{} front {} {} events {}\n", number(x.job), number(x.current), x.next,
                            x.closed ? " closed" : "", number(x.front), x.mark, x.buffered_events);
    for (const auto& b : store.blocks(x.job, ~std::size_t{0}))
      text += fmt::format("  block {} {} {} {}\n", number(b.range.generation), b.range.first, b.range.count,
                          b.payload_bytes);
    for (const auto& b : store.dead_letters(x.job, ~std::size_t{0}))
      text += fmt::format("  dead {} {} {} {}\n", number(b.range.generation), b.range.first, b.range.count,
                          b.payload_bytes);
    if (x.open_cut)
      text += fmt::format("  cut {}\n", describe_cut(*x.open_cut));
    return text;
  }

  void add_block(const append_record& x) {
    auto& job = jobs[number(x.job)];
    proto::BlockMeta meta;
    meta.ParseFromString(x.meta);
    job.blocks.push_back({x.range, *x.payload, meta.received_first_ns() / 1'000'000'000});
    job.current = number(x.range.generation);
    job.next = x.range.end();
    job.closed = false;
    job.accepted += x.range.count;
    for (const auto& b : meta.batches())
      learn({b.high(), b.low()}, number(x.job));
  }

  void add_trim(const append_record& x) {
    auto& job = jobs[number(x.job)];
    proto::Trim trim;
    trim.ParseFromString(x.meta);
    if (trim.reason() == proto::Trim::DEAD_EXPIRED) {
      job.dead.erase(std::remove_if(job.dead.begin(), job.dead.end(),
                                    [&](const block& y) {
                                      return y.range.generation == x.range.generation && y.range.first >= x.range.first
                                             && y.range.end() <= x.range.end();
                                    }),
                     job.dead.end());
      return;
    }
    auto events = end(job, x.range);
    (trim.reason() == proto::Trim::EXPIRED   ? job.expired
     : trim.reason() == proto::Trim::DELETED ? job.deleted
                                             : job.dead_lettered) += events;
  }

  std::uint64_t end(job_model& job, const sequence_range& range) {
    auto before = job.buffered();
    auto of = number(range.generation);
    job.marks[of] = std::max(job.mark(of), range.end());
    job.blocks.erase(std::remove_if(job.blocks.begin(), job.blocks.end(),
                                    [&](const block& y) {
                                      return y.range.generation == range.generation && y.range.end() <= job.mark(of);
                                    }),
                     job.blocks.end());
    if (job.cut && job.cut->generation() == of) {
      auto mark = job.mark(of);
      auto& parts = *job.cut->mutable_replaced_by();
      auto had_parts = !parts.empty();
      while (!parts.empty() && parts.Get(0).first() + parts.Get(0).count() <= mark)
        parts.DeleteSubrange(0, 1);
      if (job.cut->first() + job.cut->count() <= mark || (had_parts && parts.empty()))
        job.cut.reset();
    }
    return before - job.buffered();
  }

  void add_account(const append_record& x) {
    proto::BodyAccount account;
    account.ParseFromString(x.meta);
    for (const auto& line : account.deltas()) {
      if (line.job() != 0)
        jobs[line.job()].shed += line.events();
      else
        received[line.sender()] += line.events();
    }
    batch_id batch{account.batch().high(), account.batch().low()};
    if (!batch)
      return;
    known_.erase(std::remove_if(known_.begin(), known_.end(), [&](const auto& y) { return y.first == batch; }),
                 known_.end());
    for (const auto& y : done_)
      if (y.batch == batch)
        return;
    done_.push_back({batch, account.body_digest(), account.status(), account.answer()});
    if (done_.size() > window_)
      done_.pop_front();
    std::sort(done_.begin(), done_.end(), [](const auto& a, const auto& b) { return a.batch < b.batch; });
  }

  void learn(const batch_id& batch, std::uint64_t job) {
    for (const auto& x : done_)
      if (x.batch == batch)
        return;
    for (auto& [known, ids] : known_)
      if (known == batch) {
        if (std::find(ids.begin(), ids.end(), job) == ids.end())
          ids.push_back(job);
        return;
      }
    known_.push_back({batch, {job}});
    if (known_.size() > window_)
      known_.pop_front();
  }

  std::size_t window_;
  std::deque<std::pair<batch_id, std::vector<std::uint64_t>>> known_;
  std::deque<done_batch> done_;
};

} // namespace weir::store
