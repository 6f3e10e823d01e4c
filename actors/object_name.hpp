#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/ids.hpp"

namespace weir {

/// Last part of an object's name, `<START>_<END>_<hex>.log.gz`: the times of the first and last
/// event's arrival (nanoseconds since 1970; written as `YYYYMMDDTHHMMSSZ`, UTC) and 8 hexadecimal
/// digits, or 16 with `long_hash`, that follow from job, generation, first sequence and count. So
/// the same cut always has the same name, and different cuts hardly ever.
std::string object_file_name(job_id job, const sequence_range& cut, std::uint64_t first_ns, std::uint64_t last_ns,
                             bool long_hash);

/// A destination's path with every `{DATE}` replaced by the day of `first_ns`, `YYYYMMDD`, UTC.
std::string expand_date(std::string_view path, std::uint64_t first_ns);

} // namespace weir
