#include "actors/config_judge.hpp"

#include "telemetry/log.hpp"

namespace weir {

void config_judge::consider(const config_offer& offer) const {
  const auto now = clock->steady();
  const auto verdict = gate->judge(offer, configs->of(role, index, now));
  config_answer answer;
  answer.adopted = verdict.adopt;
  answer.reason = verdict.reason;
  answer.text = verdict.text;
  if (verdict.adopt) {
    configs->adopt(role, index, {offer.snapshot, verdict.removes, verdict.by_approval, offer.explained}, now);
  } else {
    if (refused)
      refused(verdict.reason);
    log::error("config-refused", "{} {} goes on with what it has ({}): {}", name_of(role), index, verdict.reason,
               verdict.text);
  }
  answer.in_force = configs->of(role, index, now).in_force->version;
  if (offer.answer)
    offer.answer(std::move(answer));
}

} // namespace weir
