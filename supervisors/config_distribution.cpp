#include "supervisors/config_distribution.hpp"

#include <caf/send.hpp>

namespace weir {

namespace {

/// Before the bodies that wait at the role, so that a rollback takes effect under load, too.
template <class Role, class Message>
bool tell_first(const endpoint<Role>& to, Message&& message) {
  if (to)
    caf::anon_send<caf::message_priority::high>(to.actor, std::forward<Message>(message));
  return static_cast<bool>(to);
}

} // namespace

config_distribution::config_distribution(config_distribution_parts parts)
    : parts_(std::move(parts)), for_buffers_(parts_.first), in_force_(parts_.first) {
  parts_.admission->expect(in_force_->table.entry_count());
  parts_.door->configure(in_force_);
}

bool config_distribution::offer_to_receiver(std::size_t i, config_offer_ptr offer) {
  return tell_first(parts_.directory->receiver(i), std::move(offer));
}

bool config_distribution::offer_to_forwarder(std::size_t i, config_offer_ptr offer) {
  return tell_first(parts_.directory->forwarder(i), std::move(offer));
}

void config_distribution::apply_to_buffers(snapshot_ptr snapshot) {
  snapshot_ptr before; // let go of outside the lock
  std::lock_guard lock{mutex_};
  before = std::exchange(for_buffers_, snapshot);
  // The jobs of a node's first config may all come at once; later ones are paced by the creation rate.
  if (before->version == config_version{})
    parts_.admission->expect(snapshot->table.entry_count());
  for (std::size_t i = 0; i < parts_.directory->shard_count(); ++i)
    parts_.directory->shard(i).tell(snapshot);
  parts_.directory->buffers().tell(snapshot);
}

void config_distribution::apply_to_intake(snapshot_ptr snapshot) {
  {
    snapshot_ptr before;
    std::lock_guard lock{mutex_};
    before = std::exchange(in_force_, snapshot);
  }
  parts_.door->configure(snapshot);
  parts_.configs->settle(snapshot->version);
  for (std::size_t i = 0; i < receivers(); ++i)
    tell_first(parts_.directory->receiver(i), snapshot);
}

std::string config_distribution::keep_last_known_good(const snapshot_ptr& snapshot) {
  return parts_.keep ? parts_.keep(*snapshot) : std::string{};
}

snapshot_ptr config_distribution::in_force() const {
  std::lock_guard lock{mutex_};
  return in_force_;
}

} // namespace weir
