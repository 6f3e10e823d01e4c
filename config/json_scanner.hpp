#pragma once

#include <cstddef>
#include <streambuf>
#include <string>
#include <string_view>

namespace weir {

/// Walks JSON of any length byte by byte and hands out the text of single values, so that a list of a
/// million jobs is read with one of them in memory. It looks at brackets and strings only: whoever takes a value's
/// text parses it. Throws a `refusal`: `truncated`, `unparsable` or, for a value that is too long, `too_large`.
class json_scanner {
 public:
  explicit json_scanner(std::streambuf& from) : from_(from) {}

  /// Calls `visit(key)` for each member of the object that comes next; `visit` takes the value by `value`
  /// or a nested walk. `name` is for messages.
  template <class Visit>
  void each_member(std::string_view name, Visit&& visit) {
    walk(name, '{', '}', [&] {
      const auto& key = value("a key", max_key_bytes);
      if (key.front() != '"')
        not_json(name, "a key in quotes is needed");
      const auto copy = key.substr(1, key.size() - 2);
      expect(':', name);
      visit(copy);
    });
  }
  /// Calls `visit(position)` for each item of the list that comes next.
  template <class Visit>
  void each_item(std::string_view name, Visit&& visit) {
    std::size_t at = 0;
    walk(name, '[', ']', [&] { visit(at++); });
  }

  /// The text of the value that comes next, of at most `most` bytes; valid until the next call.
  const std::string& value(std::string_view name, std::size_t most);

  /// Refuses whatever is there but white space.
  void expect_end();

 private:
  static constexpr std::size_t max_key_bytes = 256;

  template <class Visit>
  void walk(std::string_view name, char open, char close, Visit&& visit) {
    expect(open, name);
    if (next_is(close))
      return;
    do
      visit();
    while (next_is(','));
    expect(close, name);
  }

  int peek_behind_space();
  bool next_is(char x); // and takes it if so
  void expect(char x, std::string_view name);
  [[noreturn]] static void not_json(std::string_view name, std::string_view what);
  [[noreturn]] static void ends(std::string_view name);
  void add(char x, std::string_view name, std::size_t most);
  void rest_of_string(std::string_view name, std::size_t most);
  void rest_of_nested(std::string_view name, std::size_t most);
  void rest_of_plain(std::string_view name, std::size_t most);
  char take(std::string_view name);

  std::streambuf& from_;
  std::string text_;
};

} // namespace weir
