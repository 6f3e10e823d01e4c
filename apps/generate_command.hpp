#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "apps/generate_post.hpp"
#include "drills/generate_bodies.hpp"

namespace CLI {
class App;
}

namespace weir {

/// Adds `weir generate`. When it is chosen, `run` becomes what to do; its result is the exit code.
void add_generate_command(CLI::App& app, std::function<int()>& run);

namespace generate {

/// What `weir generate` was asked for. Exactly one of `url`, `to_stdout`, `bodies_file` and
/// `list_zones` says where to.
struct options {
  body_plan plan;
  bool until_interrupted = false;
  std::string url;
  bool to_stdout = false;
  std::string bodies_file;
  std::uint64_t list_zones = 0;
  std::string replay_file; ///< Ready bodies instead of rendering; then `plan` is the file's.
  std::string receipts_file;
  std::string token_file;           ///< Else the environment's WEIR_TOKEN.
  bool allow_insecure_http = false; ///< Send a token over http:// to another machine.
  bool json = false;                ///< Summary as JSON.
  post_options post;
};

/// Does it. `out` takes events, zones and the summary; `err` complaints, and progress if it is a
/// terminal. Returns the exit code: 0, or 1 if not everything was written or acknowledged, or 2 if
/// the options make no sense.
int run(options how, std::ostream& out, std::ostream& err);

} // namespace generate
} // namespace weir
