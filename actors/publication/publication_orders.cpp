#include <algorithm>

#include <fmt/format.h>

#include "actors/publication/publication.hpp"
#include "telemetry/log.hpp"

/// What operators order.
namespace weir {

namespace {

command_result refused(std::string error, std::string text) {
  return {std::move(error), std::move(text), {}};
}

} // namespace

command_result config_publication::order(const config_command& command, publication_moment now) {
  using what = config_command::order;
  expire_approvals(now);
  command_result result;
  switch (command.what) {
    case what::approve:
      result = approve(command, now);
      break;
    case what::reject:
      result = reject(command, now);
      break;
    case what::rollback:
      result = roll_back(command, now);
      break;
    case what::freeze:
      result = freeze(command, now);
      break;
    case what::unfreeze:
      result = unfreeze(command, now);
      break;
    case what::publish:
      result = publish_now(command, now);
      break;
  }
  // An order that was not carried out is as much part of the story as one that was.
  if (!result.done())
    audit(command.who, std::string{name_of(command.what)}, command.version,
          command.hash == content_hash{} ? std::string{} : hex_text(command.hash), result.error, result.text, now);
  show_metrics(now);
  return result;
}

command_result config_publication::approve(const config_command& command, publication_moment now) {
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const config_history::held_row& x) { return x.change.hash == command.hash; });
  if (found == held_.end())
    return refused("not_held",
                   "No change with this hash is held. It may have been approved, rejected or changed "
                   "meanwhile: look with `weir config list`.");
  auto& x = found->change;
  if (found->rejected)
    return refused("rejected", "This change was rejected. `weir config publish` has it judged anew.");
  if (x.approved)
    return refused("already_approved", fmt::format("{} has approved this change already.", x.approved->who));
  auto next = *found;
  next.change.approved = held_change::approval{command.who, now.wall, now.wall + how_.publication.approval_age};
  const bool written = remembered(history_.together([&] {
    return history_.keep_held(next)
           && history_.add_audit(
               {0, now.wall, command.who, "approved", x.parent, hex_text(x.hash), "done", command.why});
  }));
  if (!written)
    return refused("history_failed",
                   "The approval could not be written down, so it does not count: " + history_.problem());
  *found = std::move(next);
  metrics_.approvals.Increment();
  wants_reading_ = true;
  log::info("config-approved", "{} approved {}", command.who, hex_text(command.hash));
  command_result done;
  done.version = config_version{number(last_version_) + 1};
  done.text = frozen_
                  ? "Approved, but the config is frozen: it goes out with `weir config unfreeze`, if that is before "
                    "the approval expires."
                  : "Approved: it goes out in stages now.";
  return done;
}

command_result config_publication::reject(const config_command& command, publication_moment now) {
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const config_history::held_row& x) { return x.change.hash == command.hash; });
  if (found == held_.end())
    return refused("not_held", "No change with this hash is held: look with `weir config list`.");
  if (found->rejected)
    return refused("rejected", "This change was rejected already.");
  auto next = *found;
  next.rejected = true;
  next.change.approved.reset();
  const bool written = remembered(history_.together([&] {
    return history_.keep_held(next)
           && history_.add_audit(
               {0, now.wall, command.who, "rejected", next.change.parent, hex_text(command.hash), "done", command.why});
  }));
  if (!written)
    return refused("history_failed", "The rejection could not be written down: " + history_.problem());
  *found = std::move(next);
  log::info("config-rejected", "{} rejected {}", command.who, hex_text(command.hash));
  return {{}, "Rejected: it stays away until the source asks for something else.", in_force_->version};
}

command_result config_publication::roll_back(const config_command& command, publication_moment now) {
  if (number(in_force_->version) == 0)
    return refused("unknown_version", "No config was ever in force.");
  std::string wrong;
  auto old = load(command.version, wrong);
  if (!old)
    return refused("unknown_version", wrong);
  merge_order order;
  order.identity = next_identity(now);
  order.in_force = in_force_;
  order.candidate = std::move(old);
  order.now = now.wall;
  order.hold = how_.publication.hold;
  const bool running = rolling_.has_value();
  auto merged = merge(std::move(order));
  const bool same = merged.unchanged || merged.snapshot->content == in_force_->content;
  if (same && !running)
    return refused("same_content", fmt::format("Version {} says what version {} has in force already.",
                                               number(command.version), number(in_force_->version)));
  if (same)
    merged.snapshot = restamped(in_force_, next_identity(now)); // Takes back what is under way.
  if (count_entries(*merged.snapshot).entitled == 0)
    return refused("zero_entries", "That version would entitle nobody, which is never put in force.");
  if (running)
    finish(version_outcome::interrupted,
           fmt::format("{} rolled back to version {}", command.who, number(command.version)), now);
  pending about;
  about.why = "rollback";
  about.who = command.who;
  about.rebases = true;
  about.put_on_hold = std::move(merged.put_on_hold);
  about.restored = std::move(merged.restored);
  rollout_order how;
  how.quick = true;
  how.approval = approval_for(*merged.snapshot);
  const auto version = merged.snapshot->version;
  if (!publish(std::move(merged.snapshot), std::move(about), std::move(how), nullptr, now)) {
    if (running)
      put_back("the rollback could not be written down", now);
    return refused("history_failed",
                   "The new version could not be written down, so it is not published: " + history_problem_);
  }
  audit(command.who, "rollback", version, {}, "done",
        fmt::format("to the content of version {}. {}", number(command.version), command.why), now);
  log::warn("config-rolled-back", "{} rolled back to the content of version {}, which goes out as version {}",
            command.who, number(command.version), number(version));
  // The source still says what was just left: without this it would be back within an interval.
  set_frozen(command.who, fmt::format("rolled back to version {}", number(command.version)), now);
  return {{},
          fmt::format("Version {} with the content of version {} goes out now, and the config is frozen until "
                      "`weir config unfreeze`.",
                      number(version), number(command.version)),
          version};
}

bool config_publication::set_frozen(const std::string& who, const std::string& why, publication_moment now) {
  publication_view::frozen_state next{who, why, now.wall};
  const bool written = remembered(history_.together([&] {
    return history_.set_frozen(next)
           && history_.add_audit({0, now.wall, who, "frozen", in_force_->version, {}, "done", why});
  }));
  frozen_ = std::move(next); // In effect even if it cannot be written: it is the safe side.
  log::warn("config-frozen", "{} froze the config at version {}: {}", who, number(in_force_->version), why);
  return written;
}

command_result config_publication::freeze(const config_command& command, publication_moment now) {
  if (frozen_)
    return refused("already_frozen", fmt::format("{} has frozen the config already.", frozen_->who));
  const bool written = set_frozen(command.who, command.why, now);
  std::string text = "Frozen: nothing is published until `weir config unfreeze`.";
  if (!written)
    text += " It could not be written down and would not survive a restart: " + history_problem_;
  if (rolling_ && !rollout_.returning()) {
    text += fmt::format(" The rollout of version {} is taken back.", number(rolling_->version));
    finish(version_outcome::interrupted, fmt::format("{} froze the config", command.who), now);
    put_back("the config was frozen", now);
    again_ = false;
  }
  return {{}, std::move(text), in_force_->version};
}

command_result config_publication::unfreeze(const config_command& command, publication_moment now) {
  if (!frozen_)
    return refused("not_frozen", "The config is not frozen.");
  const bool written = remembered(history_.together([&] {
    return history_.set_frozen(std::nullopt)
           && history_.add_audit({0, now.wall, command.who, "unfrozen", in_force_->version, {}, "done", command.why});
  }));
  if (!written)
    return refused("history_failed", "It could not be written down, so the config stays frozen: " + history_problem_);
  frozen_.reset();
  wants_reading_ = true;
  log::info("config-unfrozen", "{} lets the config be published again", command.who);
  return {{}, "What the source says is judged now.", in_force_->version};
}

command_result config_publication::publish_now(const config_command& command, publication_moment now) {
  if (frozen_)
    return refused("frozen", fmt::format("{} froze the config: {}", frozen_->who, frozen_->why));
  for (const auto& x : held_)
    if (x.rejected) { // It is held anew and can be approved.
      withdraw_held("judged anew on order of " + command.who, now);
      break;
    }
  audit(command.who, "publish", in_force_->version, {}, "done", command.why, now);
  wants_reading_ = true;
  return {{}, "What the source says is judged now.", in_force_->version};
}

} // namespace weir
