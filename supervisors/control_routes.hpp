#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "actors/control/router.hpp"
#include "supervisors/node.hpp"

namespace weir {

/// What became of a reload.
struct reload_result {
  enum class what_became : std::uint8_t {
    in_force,    ///< Everything, jobs included; also if nothing changed.
    rolling_out, ///< Tokens and certificates are in force, and the jobs are on their way.
    held,        ///< The same, but the jobs wait for an operator.
    frozen,      ///< The same, but nothing is published now.
    not_judged,  ///< The same, but the publisher has not come to the jobs yet.
    refused,     ///< The jobs; or the whole file, and then nothing changed.
  };
  what_became became = what_became::refused;
  std::uint64_t version = 0; ///< In force, or on its way.
  std::string hash{};        ///< Of what is held.
  std::string text;          ///< For an operator; of a refused file one line a problem.
};
std::string_view name_of(reload_result::what_became x) noexcept;

/// What `POST /v1/reload` does; answers once, from any thread.
using reload_action = std::function<void(std::function<void(reload_result)>)>;

/// `/v1/node`, `/v1/reload`, `/v1/buffers/{job}/unpark`. Handlers read what the node offers behind
/// short locks and ask no actor, so that they answer while every mailbox is full; only unparking does. `running` must
/// outlive the router.
void add_node_routes(control_router& router, const node& running, std::string version, reload_action reload);

} // namespace weir
