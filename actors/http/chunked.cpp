#include "actors/http/chunked.hpp"

#include <algorithm>

namespace weir::http {

namespace {

/// Leading zeros included: eight digits name 4 GiB, more than any body may have.
constexpr unsigned max_digits = 8;

int digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

} // namespace

chunk_reader::place chunk_reader::after_size_digit(char c) noexcept {
  if (c == '\r' && digits_ > 0)
    return place::size_end;
  const int value = digit(c);
  if (value < 0 || ++digits_ > max_digits)
    return place::bad;
  left_ = left_ * 16 + static_cast<unsigned>(value);
  return place::size;
}

chunk_reader::step chunk_reader::next(std::string_view input, std::size_t max_data) {
  step result;
  const auto expect = [&](char wanted, place then) { at_ = input[result.consumed++] == wanted ? then : place::bad; };
  while (result.consumed < input.size()) {
    switch (at_) {
      case place::size:
        at_ = after_size_digit(input[result.consumed++]);
        break;
      case place::size_end:
        digits_ = 0;
        expect('\n', left_ > 0 ? place::data : place::last_cr);
        break;
      case place::data: {
        const auto run = std::min<std::uint64_t>({left_, input.size() - result.consumed, max_data});
        result.data = input.substr(result.consumed, static_cast<std::size_t>(run));
        result.consumed += result.data.size();
        took(run);
        return result;
      }
      case place::data_cr:
        expect('\r', place::data_lf);
        break;
      case place::data_lf:
        expect('\n', place::size);
        break;
      case place::last_cr:
        expect('\r', place::last_lf);
        break;
      case place::last_lf:
        expect('\n', place::end);
        break;
      case place::end:
      case place::bad:
        return result;
    }
  }
  return result;
}

void chunk_reader::took(std::uint64_t count) noexcept {
  left_ -= count;
  if (left_ == 0)
    at_ = place::data_cr;
}

} // namespace weir::http
