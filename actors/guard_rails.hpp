#pragma once

#include <string>

#include <caf/fwd.hpp>

namespace weir {

/// What each long-lived actor sets first, before anything can reach it. CAF's defaults end an actor
/// when an error message or an unhandled answer arrives, and print to stderr.
///
/// - error messages are logged (`actor-error`) and survived;
/// - messages no handler takes are logged (`actor-unexpected-message`); a request is answered
///   `sec::unexpected_message`;
/// - down messages nobody asked for are logged (`actor-peer-down`);
/// - exit messages end the actor with their reason, also `normal` ones: whoever sends one to a
///   supervised actor wants it gone. Unexpected reasons are logged (`actor-told-to-exit`);
/// - an exception is logged (`actor-exception`) and ends the actor (CAF cannot save it) with
///   `sec::runtime_error` and its text; its supervisor sees a crash.
///
/// `name` stands in the log lines. Handlers set later replace these one by one.
void set_guard_rails(caf::scheduled_actor* self, std::string name);

} // namespace weir
