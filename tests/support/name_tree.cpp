#include "tests/support/name_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "tests/support/fake_random.hpp"

namespace weir {
namespace {

/// What changes of a set depend on: two that share a name or a file keep their order.
class ties {
 public:
  void add(const name_tree::change& change) {
    names_.insert(change.from);
    names_.insert(change.to);
    names_.erase("");
    nodes_.insert(change.what.get());
  }
  bool hold(const name_tree::change& change) const {
    return names_.count(change.from) > 0 || names_.count(change.to) > 0 || nodes_.count(change.what.get()) > 0;
  }

 private:
  std::set<std::string> names_;
  std::set<const name_tree::node*> nodes_;
};

} // namespace

std::string normal_path(const std::string& path) {
  auto text = std::filesystem::path(path).lexically_normal().string();
  if (text.size() > 1 && text.back() == '/')
    text.pop_back();
  return text.empty() ? "." : text;
}

std::string parent_path(const std::string& path) {
  auto text = std::filesystem::path(path).parent_path().string();
  return text.empty() ? "." : text;
}

bool name_tree::change::touches(const std::string& directory) const {
  return (!from.empty() && parent_path(from) == directory) || (!to.empty() && parent_path(to) == directory);
}

void name_tree::change::apply(std::map<std::string, node_pointer>& names) const {
  if (!from.empty())
    names.erase(from);
  if (!to.empty())
    names[to] = what;
}

bool name_tree::is_directory(const std::string& path) const {
  auto found = names.find(path);
  return path == "/" || path == "." || (found != names.end() && found->second->directory);
}

name_tree::node_pointer name_tree::find_file(const std::string& path) const {
  auto found = names.find(path);
  return found == names.end() || found->second->directory ? nullptr : found->second;
}

bool name_tree::is_empty_directory(const std::string& path) const {
  return is_directory(path)
         && std::none_of(names.begin(), names.end(), [&](auto& x) { return parent_path(x.first) == path; });
}

void name_tree::drop_unreachable(std::map<std::string, node_pointer>& names) {
  // Parents come before what is below them, as their paths are prefixes.
  for (auto it = names.begin(); it != names.end();) {
    auto parent = parent_path(it->first);
    auto found = names.find(parent);
    auto reachable = parent == "/" || parent == "." || (found != names.end() && found->second->directory);
    it = reachable ? std::next(it) : names.erase(it);
  }
}

void name_tree::make(change next) {
  unname(next.to.empty() ? next.from : next.to);
  next.apply(names);
  pending.push_back(std::move(next));
}

void name_tree::unname(const std::string& path) {
  if (auto found = names.find(path); found != names.end()) {
    found->second->named = false;
    count(*found->second);
  }
}

void name_tree::count(node& x) {
  auto pages = x.named || x.handles > 0 ? x.content.allocated_pages() : 0;
  used_pages += pages - x.counted_pages;
  x.counted_pages = pages;
}

void name_tree::sync_directory(const std::string& directory) {
  std::vector<bool> chosen(pending.size());
  ties needed;
  for (auto i = pending.size(); i-- > 0;)
    if (pending[i].touches(directory) || needed.hold(pending[i])) {
      chosen[i] = true;
      needed.add(pending[i]);
    }
  std::vector<change> rest;
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (chosen[i])
      pending[i].apply(durable_names);
    else
      rest.push_back(std::move(pending[i]));
  pending = std::move(rest);
}

name_tree name_tree::after_crash(std::uint64_t seed, std::optional<paged_file::crash_mode> given) const {
  fake_random random(seed);
  auto drawn = random.below(8);
  auto mode = drawn == 0   ? paged_file::crash_mode::lose_all
              : drawn == 1 ? paged_file::crash_mode::keep_all
                           : paged_file::crash_mode::mixed;
  mode = given.value_or(mode);
  auto kept_names = durable_names;
  auto in_order = random.below(2) == 0;
  auto first_lost = random.below(pending.size() + 1);
  ties lost;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    auto keep = mode == paged_file::crash_mode::keep_all
                || (mode == paged_file::crash_mode::mixed && (in_order ? i < first_lost : random.below(2) == 0));
    if (keep && !lost.hold(pending[i]))
      pending[i].apply(kept_names);
    else
      lost.add(pending[i]);
  }
  drop_unreachable(kept_names);
  name_tree found;
  for (auto& [path, old] : kept_names) {
    auto fresh = std::make_shared<node>();
    fresh->content = old->content.after_crash(random, mode);
    fresh->directory = old->directory;
    found.count(*fresh);
    found.names[path] = fresh;
  }
  found.durable_names = found.names;
  return found;
}

} // namespace weir
