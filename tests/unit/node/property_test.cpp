#include <map>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/gzip_text.hpp"
#include "tests/support/test_seed.hpp"
#include "tests/unit/node/small_node.hpp"

using namespace weir;

namespace {

constexpr std::uint64_t zones = 4;

/// One body of a client that repeats it under its key until it is acknowledged.
struct client_body {
  std::string key;
  std::string text;
  std::map<std::uint64_t, std::vector<std::string>> lines; ///< By zone.
  awaited_answer answer;
  bool acknowledged = false;
};

/// A run of a small node through whatever can happen to it, and what must have come of it. All that is drawn
/// comes from `seed`.
class ordeal {
 public:
  explicit ordeal(std::uint64_t seed) : draw_(seed * 2 + 1), all_jobs_(jobs()), node_(all_jobs_, seed) {
    node_.config.buffer.block_bytes = 256 + draw_.below(2048);
    node_.config.store.group_bytes = (2 + draw_.below(30)) << 10;
    node_.config.buffer.passivate_after = 31s;
    node_.shuffle_steps();
    for (std::uint64_t i = 1; i <= zones; ++i)
      node_.network->behave(fmt::format("/out/{}/", i), [this](const fake_network::upload& x) { return judge(x); });
    node_.start();
  }

  void run() {
    for (int i = 0; i < 100; ++i) {
      act();
      CHECK(node_.balanced());
    }
    calm_down();
    compare();
  }

 private:
  /// Two jobs for the first zone, one for the others but the last, with limits that cut often.
  std::vector<small_job> jobs() {
    std::vector<small_job> all;
    for (std::uint64_t i = 1; i <= zones; ++i)
      all.push_back({i, zone(i == zones ? 1 : i), std::chrono::seconds{1 + draw_.below(3)}, draw_.below(2) * 17});
    return all;
  }

  /// No destination ever takes poison; of what they take, some answers are lost.
  verdict_on_upload judge(const fake_network::upload& x) {
    const auto raw = gunzip(x.bytes);
    if (raw && raw->find("poison") != raw->npos)
      return says::refused(400);
    if (unheard_ == 0)
      return says::stored();
    --unheard_;
    return says::stored_unheard();
  }

  void act() {
    switch (draw_.below(17)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        post();
        break;
      case 5:
        repeat();
        break;
      case 6:
      case 7:
      case 8:
        node_.pass(std::chrono::milliseconds{draw_.below(3000)}, 100ms);
        break;
      case 9:
        steps(draw_.below(120));
        break;
      case 10:
        destination();
        break;
      case 11:
        disk();
        break;
      case 12:
        crash();
        break;
      case 13:
        kill();
        break;
      case 14:
        jump();
        break;
      case 15:
        node_.pass(20s, 500ms);
        break;
      case 16:
        hold();
        break;
    }
    look();
  }

  /// A config without one of the jobs, or with all of them again.
  void hold() {
    auto some = all_jobs_;
    if (draw_.below(2) == 0) {
      const auto which = draw_.below(zones);
      held_.insert(some[which].id);
      some.erase(some.begin() + static_cast<std::ptrdiff_t>(which));
    }
    node_.publish(some);
  }

  /// The wall clock is wrong by up to eleven hours either way.
  void jump() {
    const auto off = std::chrono::minutes{draw_.below(1320)} - std::chrono::minutes{660};
    node_.clock->jump_wall(off - off_);
    off_ = off;
  }

  void steps(std::uint64_t most) {
    for (std::uint64_t n = 0; n < most && node_.step(); ++n) {
    }
  }

  void post() {
    client_body body;
    body.key = fmt::format("key-{}", bodies_.size());
    const auto lines = 1 + draw_.below(draw_.below(4) == 0 ? 80 : 12);
    for (std::uint64_t i = 0; i < lines; ++i) {
      const auto of = 1 + draw_.below(zones);
      const auto line = event(zone(of), ++events_, draw_.below(200) == 0 ? R"(,"x":"poison")" : "");
      body.lines[of].push_back(line);
      body.text += line + "\n";
    }
    body.answer = node_.post(body.text, body.key);
    bodies_.push_back(std::move(body));
    steps(draw_.below(60));
  }

  /// A client repeats one that it had no good answer to, now and then too early.
  void repeat() {
    for (auto& x : bodies_)
      if (!x.acknowledged && draw_.below(2) == 0)
        x.answer = node_.post(x.text, x.key);
    steps(draw_.below(60));
  }

  void look() {
    for (auto& x : bodies_)
      if (x.answer && x.answer->status == 200)
        x.acknowledged = true;
      else if (x.answer && x.answer->status != 0)
        CHECK_MESSAGE((x.answer->status == 429 || x.answer->status == 503 || x.answer->status == 507),
                      x.answer->status << ": " << x.answer->body);
  }

  void destination() {
    const auto part = fmt::format("/out/{}/", 1 + draw_.below(zones));
    std::vector<verdict_on_upload> script;
    for (auto n = 1 + draw_.below(4); n > 0; --n) {
      const verdict_on_upload all[] = {says::failed(), says::refused(403), says::nothing(), says::failed(429)};
      script.push_back(all[draw_.below(4)]);
    }
    node_.network->then(part, script);
    unheard_ += draw_.below(4);
  }

  void disk() {
    disk_fault fault;
    fault.kind = draw_.below(3) == 0 ? disk_operation::write : disk_operation::sync;
    fault.nth = 1 + draw_.below(4);
    fault.path_part = "store";
    node_.disk->inject(fault);
  }

  void crash() {
    if (draw_.below(2) == 0) {
      node_.disk->crash_at(1 + draw_.below(5));
      steps(200);
    }
    look(); // an answer that was given before is a promise
    for (auto& x : bodies_)
      if (!x.acknowledged)
        x.answer = nullptr;
    node_.crash(draw_.next());
    kills_ = 0;
    node_.start();
  }

  void kill() {
    if (++kills_ > 3)
      return; // more, and the supervisors rightly give up
    const auto& roles = node_.node().roles();
    caf::actor whom;
    switch (draw_.below(7)) {
      case 0:
        whom = caf::actor_cast<caf::actor>(roles.shard(draw_.below(2)).actor);
        break;
      case 1:
        whom = caf::actor_cast<caf::actor>(roles.receiver(0).actor);
        break;
      case 2:
        whom = caf::actor_cast<caf::actor>(roles.forwarder(0).actor);
        break;
      case 3:
        whom = caf::actor_cast<caf::actor>(roles.pusher().actor);
        break;
      case 4:
        whom = caf::actor_cast<caf::actor>(roles.buffers().actor);
        break;
      case 5:
        whom = caf::actor_cast<caf::actor>(roles.writer().actor);
        break;
      case 6:
        whom = caf::actor_cast<caf::actor>(node_.buffer_of(1 + draw_.below(zones)));
        break;
    }
    if (whom)
      caf::anon_send<caf::message_priority::high>(whom, caf::exit_msg{whom.address(), caf::exit_reason::kill});
    steps(draw_.below(40));
  }

  /// Everything is well again, and the clients repeat what they have to.
  void calm_down() {
    node_.publish(all_jobs_);
    node_.disk->heal();
    unheard_ = 0;
    for (int round = 0; round < 100; ++round) {
      bool all = true;
      for (auto& x : bodies_) {
        if (x.acknowledged)
          continue;
        all = false;
        x.answer = node_.post(x.text, x.key);
        node_.pass(500ms, 100ms);
      }
      look();
      if (all)
        break;
    }
    for (const auto& x : bodies_)
      CHECK_MESSAGE(x.acknowledged, x.key << ": " << (x.answer ? x.answer->status : -1));
    // Half an hour for breakers, backoffs and patience to run out.
    for (int i = 0; i < 1800 && node_.buffered() > 0; ++i)
      node_.pass(1s, 250ms);
  }

  void compare() {
    CHECK(node_.buffered() == 0);
    CHECK(node_.balanced());
    CHECK(node_.network->misuse().empty());
    for (std::uint64_t job = 1; job <= zones; ++job) {
      CAPTURE(job);
      std::vector<sequence> dead;
      for (const auto& x : node_.node().store().dead_letters(job_id{job}, 10'000))
        for (auto n = x.range.first; n < x.range.end(); ++n)
          dead.push_back(n);
      CHECK(node_.disorder(job, dead) == "");
      const auto account = node_.account(job);
      CHECK(account.accepted == node_.delivered(job).size() + dead.size());
      CHECK(account.delivered + account.dead_lettered == account.accepted);
      std::multiset<std::string> arrived;
      std::map<std::string, std::size_t> place;
      for (const auto& x : node_.delivered(job)) {
        arrived.insert(x.text);
        place[x.text] = place.size();
      }
      const auto of = job == zones ? 1 : job;
      for (const auto& body : bodies_) {
        const auto lines = body.lines.find(of);
        if (lines == body.lines.end())
          continue;
        std::optional<std::size_t> before;
        for (const auto& line : lines->second) {
          const bool poison = line.find("poison") != line.npos;
          // Whoever was on hold for a while has no claim to what came meanwhile.
          if (arrived.count(line) == 0 && held_.count(job) != 0)
            continue;
          CHECK_MESSAGE(arrived.count(line) == (poison ? 0 : 1), line);
          arrived.erase(line);
          if (poison)
            continue;
          CHECK_MESSAGE((!before || place[line] > *before), "out of order: " << line);
          before = place[line];
        }
      }
      CHECK_MESSAGE(arrived.empty(), arrived.size()
                                         << " that nobody sent, as " << (arrived.empty() ? "" : *arrived.begin()));
    }
  }

  fake_random draw_;
  std::vector<small_job> all_jobs_;
  small_node node_;
  std::vector<client_body> bodies_;
  std::uint64_t events_ = 0;
  std::uint64_t kills_ = 0;
  std::uint64_t unheard_ = 0;
  std::set<std::uint64_t> held_; ///< Jobs that were on hold at some time.
  std::chrono::minutes off_{0};
};

} // namespace

TEST_CASE(
    "through crashes, power cuts, failing disks and destinations each acknowledged event arrives once and in order") {
  const auto first = test_seed("ordeals");
  const auto* wanted = std::getenv("WEIR_ORDEALS");
  const auto many = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 200;
  for (auto seed = first; seed < first + many; ++seed) {
    CAPTURE(seed);
    ordeal{seed}.run();
  }
}
