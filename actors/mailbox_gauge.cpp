#include "actors/mailbox_gauge.hpp"

#include <map>
#include <mutex>

namespace weir {

struct mailbox_gauge::family {
  std::string role;
  std::mutex mutex;
  mailbox_gauge* first = nullptr;
  std::atomic<std::uint64_t> refused{0};
};

struct mailbox_gauge::directory {
  std::mutex mutex;
  std::map<std::string, family, std::less<>> families;

  family& of(std::string_view role) {
    std::lock_guard lock{mutex};
    auto found = families.find(role);
    if (found == families.end()) {
      found = families.try_emplace(std::string{role}).first;
      found->second.role = found->first;
    }
    return found->second;
  }

  /// Never destroyed: actors may outlive static destruction when a process is told to end at once.
  static directory& instance() {
    static auto* only = new directory;
    return *only;
  }
};

mailbox_gauge::mailbox_gauge(std::string_view role, std::uint64_t limit)
    : limit_(limit), family_(&directory::instance().of(role)) {
  std::lock_guard lock{family_->mutex};
  next_ = family_->first;
  if (next_)
    next_->previous_ = this;
  family_->first = this;
}

mailbox_gauge::~mailbox_gauge() {
  std::lock_guard lock{family_->mutex};
  (previous_ ? previous_->next_ : family_->first) = next_;
  if (next_)
    next_->previous_ = previous_;
}

const std::string& mailbox_gauge::role() const noexcept {
  return family_->role;
}

void mailbox_gauge::count_refusal() noexcept {
  refused_.fetch_add(1, std::memory_order_relaxed);
  family_->refused.fetch_add(1, std::memory_order_relaxed);
}

std::vector<mailbox_summary> mailbox_gauge::summarize() {
  auto& all = directory::instance();
  std::vector<family*> families;
  {
    std::lock_guard lock{all.mutex};
    for (auto& [role, members] : all.families)
      families.push_back(&members);
  }
  std::vector<mailbox_summary> result;
  for (auto* members : families) {
    mailbox_summary sum;
    sum.role = members->role;
    sum.refused = members->refused.load(std::memory_order_relaxed);
    std::lock_guard lock{members->mutex};
    for (const auto* gauge = members->first; gauge; gauge = gauge->next_) {
      if (gauge->closed())
        continue;
      ++sum.mailboxes;
      const auto depth = gauge->depth();
      const auto share = static_cast<double>(depth) / static_cast<double>(gauge->limit());
      sum.depth += depth;
      if (depth > sum.deepest)
        sum.deepest = depth;
      if (share > sum.fullest || sum.limit == 0) {
        sum.fullest = share;
        sum.limit = gauge->limit();
      }
    }
    result.push_back(std::move(sum));
  }
  return result;
}

} // namespace weir
