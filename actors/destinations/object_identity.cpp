#include "actors/destinations/object_identity.hpp"

#include <optional>

#include <fmt/format.h>

#include "store/gzip_member.hpp"

namespace weir {

std::string identity_of_object(disk_file& file) {
  std::uint64_t offset = 0;
  auto broken = false;
  store::member_reader reader;
  reader.open([&](char* into, std::size_t size) -> std::size_t {
    std::size_t got = 0;
    if (file.read(offset, into, size, got)) {
      broken = true;
      return 0;
    }
    offset += got;
    return got;
  });
  std::optional<store::member_identity> whole;
  store::decoded_member member;
  auto status = reader.next(member);
  for (; status == store::member_status::ok; status = reader.next(member)) {
    if (!member.identity)
      return {};
    if (!whole) {
      whole = member.identity;
      continue;
    }
    const auto& part = member.identity->range;
    if (member.identity->job != whole->job || part.generation != whole->range.generation
        || part.first != whole->range.end())
      return {};
    whole->range.count += part.count;
  }
  if (broken || status != store::member_status::end || !whole || whole->range.count == 0)
    return {};
  return fmt::format("{}/{}/{}-{}", number(whole->job), number(whole->range.generation), whole->range.first,
                     whole->range.end() - 1);
}

} // namespace weir
