#include "tests/support/paged_file.hpp"

#include <algorithm>
#include <cstring>

namespace weir {
namespace {

constexpr std::size_t versions_kept = 4;

std::uint64_t pages_of(std::uint64_t bytes) {
  return bytes / paged_file::page_bytes + (bytes % paged_file::page_bytes != 0);
}

} // namespace

paged_file::page_pointer paged_file::find(const page_map& pages, std::uint64_t number) {
  auto found = pages.find(number);
  return found == pages.end() ? nullptr : found->second;
}

void paged_file::put(page_map& pages, std::uint64_t number, page_pointer content) {
  if (content)
    pages[number] = std::move(content);
  else
    pages.erase(number);
}

void paged_file::set_page(std::uint64_t number, page_pointer content) {
  auto before = find(now_, number) != nullptr;
  auto after = content != nullptr;
  if (number >= reserved_pages_ && before != after)
    pages_beyond_reserved_ += after ? 1 : -1;
  auto& versions = dirty_[number];
  if (versions.size() == versions_kept)
    versions.erase(versions.begin());
  versions.push_back(content);
  lost_.erase(number);
  put(now_, number, std::move(content));
}

void paged_file::set_size(std::uint64_t size) {
  if (size == size_)
    return;
  size_ = size;
  sizes_.push_back(size);
}

std::uint64_t paged_file::write(std::uint64_t offset, std::string_view bytes, std::uint64_t& free_pages) {
  std::uint64_t written = 0;
  while (written < bytes.size()) {
    auto at = offset + written;
    auto number = at / page_bytes, within = at % page_bytes;
    auto step = std::min<std::uint64_t>(page_bytes - within, bytes.size() - written);
    auto old = find(now_, number);
    if (!old && number >= reserved_pages_) {
      if (free_pages == 0)
        break;
      --free_pages;
    }
    auto next = old ? std::make_shared<page>(*old) : std::make_shared<page>(page_bytes, '\0');
    next->replace(within, step, bytes.substr(written, step));
    set_page(number, std::move(next));
    written += step;
  }
  if (written > 0)
    set_size(std::max(size_, offset + written));
  return written;
}

std::size_t paged_file::read(std::uint64_t offset, char* into, std::size_t size) const {
  if (offset >= size_)
    return 0;
  auto wanted = std::min<std::uint64_t>(size, size_ - offset);
  for (std::uint64_t got = 0; got < wanted;) {
    auto number = (offset + got) / page_bytes, within = (offset + got) % page_bytes;
    auto step = std::min(page_bytes - within, wanted - got);
    if (auto content = find(now_, number))
      std::memcpy(into + got, content->data() + within, step);
    else
      std::memset(into + got, 0, step);
    got += step;
  }
  return wanted;
}

void paged_file::truncate(std::uint64_t size) {
  if (size < size_) {
    auto kept = pages_of(size);
    std::vector<std::uint64_t> gone;
    for (auto it = now_.lower_bound(kept); it != now_.end(); ++it)
      gone.push_back(it->first);
    for (auto number : gone)
      set_page(number, nullptr);
    if (auto within = size % page_bytes; within != 0)
      if (auto old = find(now_, kept - 1)) {
        auto next = std::make_shared<page>(old->substr(0, within));
        next->resize(page_bytes, '\0');
        set_page(kept - 1, std::move(next));
      }
    reserved_pages_ = std::min(reserved_pages_, kept);
  }
  set_size(size);
}

std::uint64_t paged_file::pages_to_reserve(std::uint64_t size) const {
  auto wanted = pages_of(size);
  if (wanted <= reserved_pages_)
    return 0;
  auto there = std::distance(now_.lower_bound(reserved_pages_), now_.lower_bound(wanted));
  return wanted - reserved_pages_ - static_cast<std::uint64_t>(there);
}

void paged_file::reserve(std::uint64_t size) {
  auto wanted = pages_of(size);
  if (wanted > reserved_pages_) {
    auto covered = std::distance(now_.lower_bound(reserved_pages_), now_.lower_bound(wanted));
    pages_beyond_reserved_ -= static_cast<std::uint64_t>(covered);
    reserved_pages_ = wanted;
  }
  set_size(std::max(size, size_));
}

void paged_file::sync() {
  for (auto& [number, versions] : dirty_)
    put(durable_, number, versions.back());
  dirty_.clear();
  sizes_.clear();
  durable_size_ = size_;
  durable_reserved_pages_ = reserved_pages_;
}

void paged_file::fail_sync() {
  for (auto& [number, versions] : dirty_)
    lost_.insert(number);
  dirty_.clear();
  // The size stays pending: a later sync makes it durable, with a hole where the pages were lost.
}

void paged_file::drop_caches() {
  for (auto number : lost_) {
    auto before = find(now_, number) != nullptr;
    auto content = find(durable_, number);
    if (number >= reserved_pages_ && before != (content != nullptr))
      pages_beyond_reserved_ += content ? 1 : -1;
    put(now_, number, std::move(content));
  }
  lost_.clear();
}

bool paged_file::flip_bit(std::uint64_t offset, unsigned bit) {
  if (offset >= size_ && offset >= durable_size_)
    return false;
  auto number = offset / page_bytes, within = offset % page_bytes;
  auto flipped = [&](const page_pointer& content) {
    auto next = content ? std::make_shared<page>(*content) : std::make_shared<page>(page_bytes, '\0');
    (*next)[within] = static_cast<char>((*next)[within] ^ (1u << (bit % 8)));
    return next;
  };
  auto seen = find(now_, number), kept = find(durable_, number);
  if (!seen && number >= reserved_pages_)
    ++pages_beyond_reserved_;
  auto shown = flipped(seen);
  durable_[number] = seen == kept ? shown : flipped(kept);
  now_[number] = shown;
  if (auto pending = dirty_.find(number); pending != dirty_.end())
    for (auto& version : pending->second)
      version = version == seen ? shown : flipped(version);
  return true;
}

std::string paged_file::durable_contents() const {
  std::string all(durable_size_, '\0');
  for (auto& [number, content] : durable_) {
    auto at = number * page_bytes;
    if (at < durable_size_)
      all.replace(at, std::min(page_bytes, durable_size_ - at), *content, 0, std::min(page_bytes, durable_size_ - at));
  }
  return all;
}

paged_file::page_pointer paged_file::tear(const page_pointer& before, const page_pointer& after,
                                          random_source& random) {
  static const page zeros(page_bytes, '\0');
  auto torn = std::make_shared<page>(before ? *before : zeros);
  auto& news = after ? *after : zeros;
  for (std::uint64_t at = 0; at < page_bytes; at += sector_bytes)
    if (random.below(2) == 0)
      torn->replace(at, sector_bytes, news, at, sector_bytes);
  return torn;
}

std::uint64_t paged_file::size_after_crash(random_source& random) const {
  if (sizes_.empty())
    return durable_size_;
  auto lowest = std::min(durable_size_, *std::min_element(sizes_.begin(), sizes_.end()));
  auto highest = std::max(durable_size_, *std::max_element(sizes_.begin(), sizes_.end()));
  switch (random.below(4)) {
    case 0:
      return durable_size_;
    case 1:
      return sizes_.back();
    case 2:
      return sizes_[random.below(sizes_.size())];
    default: {
      auto boundary = (lowest / page_bytes + random.below(pages_of(highest - lowest) + 1)) * page_bytes;
      return std::clamp(boundary, lowest, highest);
    }
  }
}

paged_file paged_file::after_crash(random_source& random, crash_mode mode) const {
  paged_file found;
  found.durable_ = durable_;
  auto size = durable_size_;
  auto reserved = durable_reserved_pages_;
  if (mode != crash_mode::lose_all) {
    for (auto& [number, versions] : dirty_) {
      auto choice = mode == crash_mode::keep_all ? 1 : random.below(4);
      if (choice == 1)
        put(found.durable_, number, versions.back());
      else if (choice == 2)
        put(found.durable_, number, versions[random.below(versions.size())]);
      else if (choice == 3)
        put(found.durable_, number, tear(find(durable_, number), versions.back(), random));
    }
    size = mode == crash_mode::keep_all ? size_ : size_after_crash(random);
    if (mode == crash_mode::keep_all || random.below(2) == 0)
      reserved = reserved_pages_;
  }
  found.now_ = found.durable_;
  found.reserved_pages_ = reserved;
  found.pages_beyond_reserved_ =
      static_cast<std::uint64_t>(std::distance(found.now_.lower_bound(reserved), found.now_.end()));
  // Cuts pages and the reservation behind the end, if it came out lower.
  found.size_ = size + 1;
  found.truncate(size);
  found.sync();
  return found;
}

} // namespace weir
