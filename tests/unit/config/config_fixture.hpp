#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "config/node_config.hpp"

namespace weir {

const std::string zone_a = "78b85e002131f08b636e58bb814adc68";
const std::string zone_b = "0123456789abcdef0123456789abcdef";
const std::string account_a = "01a7362d577a6c3019a474fd6f485823";

/// A machine with 8 GiB, 4 cores and files that exist only here.
struct fake_config_world {
  struct file {
    std::string text;
    unsigned mode = 0600;
  };
  std::map<std::string, file> files;
  std::map<std::string, std::string> variables;
  machine_facts machine{8ull << 30, 4, 65'536};
  std::uint64_t disk_bytes = 100ull << 30;

  config_world world() {
    config_world result;
    result.machine = machine;
    result.disk_bytes = [this](const std::string&) { return disk_bytes; };
    result.variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional{found->second};
    };
    result.open = [this](const std::string& path, file_facts& facts,
                         std::string& error) -> std::unique_ptr<std::istream> {
      const auto found = files.find(path);
      if (found == files.end()) {
        error = "No such file or directory";
        return nullptr;
      }
      facts = {found->second.text.size(), found->second.mode, true};
      return std::make_unique<std::istringstream>(found->second.text);
    };
    return result;
  }

  loaded_node load(const std::string& text) {
    files["/etc/weir/weir.toml"] = {text, 0644};
    return load_node("/etc/weir/weir.toml", world(), config_version{1}, {});
  }
  problem_list problems_of(const std::string& text) { return load(text).file.problems; }
};

inline bool has_problem(const problem_list& problems, std::string_view path, std::string_view what) {
  return std::any_of(problems.kept().begin(), problems.kept().end(), [&](const config_problem& x) {
    return x.path.find(path) != std::string::npos && x.what.find(what) != std::string::npos;
  });
}

inline std::string all_of(const problem_list& problems) {
  std::string result;
  for (const auto& x : problems.kept())
    result += x.path + ": " + x.what + "\n";
  return result;
}

#define CHECK_PROBLEM(problems, path, what) CHECK_MESSAGE(has_problem(problems, path, what), all_of(problems))
#define CHECK_NO_PROBLEM(problems) CHECK_MESSAGE((problems).empty(), all_of(problems))

} // namespace weir
