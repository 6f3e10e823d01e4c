#pragma once

#include <string>

namespace CLI {
class App;
}

namespace weir {

/// How a command reaches a node's control endpoint.
struct control_options {
  std::string address = "127.0.0.1:9401"; ///< `host:port`, or a whole `https://…` URL.
  std::string token_file;                 ///< Empty: `WEIR_TOKEN` of the environment.
};

/// `--connect` and `--token-file`.
void add_control_options(CLI::App& command, control_options& options);

struct control_answer {
  int status = 0;   ///< HTTP status; 0 if the node could not be reached.
  std::string text; ///< The body, or why there is none.
};

/// One request, within 30 s. `body` is JSON, of a POST only.
control_answer call_control(const control_options& options, const std::string& method, const std::string& path,
                            const std::string& body = {});

} // namespace weir
