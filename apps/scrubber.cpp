#include "apps/scrubber.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <openssl/sha.h>

#include "apps/percent_encoding.hpp"

namespace weir {

namespace {

constexpr std::size_t shortest_secret = 6;

bool is_id_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
}

bool ends_url(char c) {
  return std::isspace(static_cast<unsigned char>(c)) || c == '"' || c == '\'' || c == '<' || c == '>' || c == '\\'
         || c == '`' || static_cast<unsigned char>(c) < 0x20;
}

std::string json_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '/')
      result += '\\';
    result += c;
  }
  return result;
}

bool starts(std::string_view text, std::size_t at, std::string_view with) {
  return text.substr(at, with.size()) == with;
}

} // namespace

void scrubber::forget(std::string_view secret) {
  for (const auto& form : {std::string{secret}, percent_encoded(secret), json_escaped(secret)})
    if (form.size() >= shortest_secret && std::find(secrets_.begin(), secrets_.end(), form) == secrets_.end())
      secrets_.push_back(form);
  std::sort(secrets_.begin(), secrets_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

std::string scrubber::name_for(std::string_view what) const {
  const auto salted = salt_ + '\0' + std::string{what};
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(salted.data()), salted.size(), digest);
  return fmt::format("#{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3]);
}

std::string scrubber::without_secrets(std::string_view text) const {
  std::string result{text};
  for (const auto& secret : secrets_)
    for (auto at = result.find(secret); at != std::string::npos; at = result.find(secret, at))
      result.replace(at, secret.size(), "(secret)");
  return result;
}

std::string scrubber::clean(std::string_view dirty) const {
  const auto text = without_secrets(dirty);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (starts(text, i, "://")) {
      // The scheme is in the result already; what follows is where something goes.
      auto end = i;
      while (end < text.size() && !ends_url(text[end]))
        ++end;
      result += "://" + name_for(std::string_view{text}.substr(i, end - i));
      i = end;
      continue;
    }
    if (starts(text, i, "Bearer ")) {
      auto end = i + 7;
      while (end < text.size() && !ends_url(text[end]))
        ++end;
      result += "Bearer (secret)";
      i = end;
      continue;
    }
    const bool at_start = i == 0 || !is_id_character(text[i - 1]);
    std::string_view kind;
    for (const std::string_view x : {"zones/", "accounts/"})
      if (at_start && starts(text, i, x))
        kind = x;
    if (!kind.empty()) {
      auto end = i + kind.size();
      while (end < text.size() && is_id_character(text[end]))
        ++end;
      if (end > i + kind.size()) {
        result += kind;
        result += name_for(std::string_view{text}.substr(i, end - i));
        i = end;
        continue;
      }
    }
    if (starts(text, i, "answered ")) {
      auto end = i + 9;
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])))
        ++end;
      if (end > i + 9 && starts(text, end, ": ")) {
        result += text.substr(i, end - i) + ": (left out)";
        while (end < text.size() && text[end] != '"' && text[end] != '\n')
          end += text[end] == '\\' && end + 1 < text.size() ? 2 : 1;
        i = end;
        continue;
      }
    }
    result += text[i++];
  }
  return result;
}

} // namespace weir
