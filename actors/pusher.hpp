#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "actors/bounded_mailbox.hpp"
#include "actors/object_assembly.hpp"
#include "actors/push_policy/push_scheduler.hpp"
#include "messages/interfaces.hpp"
#include "telemetry/role_metrics.hpp"

namespace weir {

struct pusher_parts {
  push_policy::push_settings settings;
  environment world;
  std::shared_ptr<pusher_metrics> metrics;
  std::chrono::milliseconds stall_timeout{30'000};
  std::chrono::milliseconds upload_timeout{300'000};
  bool allow_insecure_http = false;
  /// Told at the control endpoint's pace what the scheduler thinks of destinations; may be empty.
  std::function<void(const push_policy::push_scheduler&)> observe;
};

/// One upload: a lease being turned into the bytes of its object.
struct running_push {
  std::uint64_t upload = 0; ///< 0 while the lease is being asked for.
  lease_ptr leased;
  std::unique_ptr<object_assembly> assembly;
  bool reading = false; ///< A window of blocks was asked for.
  bool starved = false; ///< The network waits for bytes.
  bool revoked = false; ///< Its slot is needed by others.
  bool broken = false;  ///< Cannot be assembled: the upload was cancelled for that.
  bool poison = false;  ///< And never will be: what is in it is at fault.
  std::string trouble;  ///< Why it was cancelled.
  std::uint64_t supplied_bytes = 0;
  std::chrono::steady_clock::time_point started{};
};

struct pusher_state {
  static constexpr const char* name = "pusher";
  static constexpr std::uint64_t mailbox_limit = 1'100'000; ///< After a start, every job with a backlog wants a push.

  pusher_parts parts;
  std::unique_ptr<push_policy::push_scheduler> scheduler;
  std::unique_ptr<assembly_tools> tools;
  std::shared_ptr<upload_listener> listener;
  std::unordered_map<std::uint64_t, push_wanted> wanted;   // by job; small, and forgotten when done
  std::unordered_map<std::uint64_t, running_push> running; // by job
  std::unordered_map<std::uint64_t, job_id> job_of;        // by upload
  std::uint64_t last_upload = 0;
  bool timer_armed = false;
  std::chrono::steady_clock::time_point timer_at{}; ///< Of the tick that is armed; later ones may still come.
  caf::typed_response_promise<drained> draining;
  bool stopping = false;

  /// What runs when the pusher dies would be heard of by nobody.
  ~pusher_state() {
    for (const auto& x : running)
      if (x.second.upload != 0)
        parts.world.network->cancel(x.second.upload);
  }
};

/// Delivers cuts to destinations: asks a buffer for its cut when a slot is free, assembles the
/// object window by window, uploads, and tells the buffer how it ended. Who gets a slot when is
/// `push_policy::push_scheduler`'s to say. Holds at most one window of each upload. Never blocks:
/// the network has threads of its own.
pusher_actor::behavior_type pusher(bounded_pointer<pusher_actor, pusher_state> self, pusher_parts parts);

} // namespace weir
