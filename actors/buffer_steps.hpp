#pragma once

#include "actors/buffer.hpp"
#include "config/config_snapshot.hpp"

/// What the sources of the buffer's behaviour share. For actors/buffer*.cpp only.
namespace weir {

using buffer_self = bounded_pointer<buffer_actor, buffer_state>;

constexpr std::size_t max_blocks_of_cut = 100'000; // the job API's record limit, one event a block

/// The job's settings if its events may leave now: it is there, enabled and not on hold.
std::optional<job_settings> pushed(buffer_self self);
/// Asks the pusher for a turn; rests if the job is not pushed.
void want_push(buffer_self self);
/// Nothing more to push now: the shard tells when there is.
void rest(buffer_self self);

/// Disk bytes of the blocks that end with `range`.
std::uint64_t bytes_ending_in(buffer_self self, const sequence_range& range);
/// Tells the shard what the job's quota got back.
void tell_freed(buffer_self self, std::uint64_t bytes);

/// Removes what is older than the job may keep it, oldest first, whole blocks or the whole open cut.
void expire(buffer_self self);
/// Removes dead letters that somebody had time enough to look at.
void expire_dead_letters(buffer_self self);
/// Takes away what a job has that is gone, a part at a time; then the buffer leaves.
void remove(buffer_self self);

/// Makes records durable, then does `next`; an error goes to `answer`.
template <class Promise, class Next>
void write(buffer_self self, std::vector<store::append_record> records, Promise answer, Next next) {
  auto writer = self->state.parts.directory->writer();
  if (!writer) {
    answer.deliver(make_error(errc::store_failed, "the store writer is being restarted"));
    return;
  }
  auto group = std::make_shared<record_group>();
  group->records = std::move(records);
  self->state.writing = true;
  self->request(writer.actor, std::chrono::seconds{60}, std::move(group))
      .then(
          [self, next](recorded) mutable {
            self->state.writing = false;
            next();
          },
          [self, answer](caf::error& why) mutable {
            self->state.writing = false;
            // Whether the record is durable is the store's to say.
            const auto job = self->state.parts.store->job(self->state.parts.job);
            self->state.open = job ? job->open_cut : std::nullopt;
            answer.deliver(std::move(why));
          });
}

} // namespace weir
