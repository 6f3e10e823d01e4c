#include "actors/config_source.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace weir {

namespace {

using digest = std::array<unsigned char, 32>;

struct context_deleter {
  void operator()(EVP_MD_CTX* x) const { EVP_MD_CTX_free(x); }
};

/// False if it cannot be read or is longer than `most`.
bool hash_of(std::istream& document, std::uint64_t most, digest& into, std::uint64_t& bytes) {
  constexpr std::size_t step = 1u << 20;
  std::unique_ptr<EVP_MD_CTX, context_deleter> context{EVP_MD_CTX_new()};
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
    return false;
  std::vector<char> piece(step);
  for (bytes = 0; document && bytes <= most;) {
    document.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    const auto got = static_cast<std::size_t>(document.gcount());
    bytes += got;
    if (EVP_DigestUpdate(context.get(), piece.data(), got) != 1)
      return false;
  }
  if (document.bad() || bytes > most)
    return false;
  document.clear();
  document.seekg(0);
  unsigned size = 0;
  return document && EVP_DigestFinal_ex(context.get(), into.data(), &size) == 1;
}

class file_reader final : public source_reader {
 public:
  file_reader(config_world world, std::string path) : world_(std::move(world)), path_(std::move(path)) {}

  source_look look(const std::string&, std::uint64_t most_bytes) override {
    source_look result;
    file_facts facts;
    std::string error;
    result.document = world_.open(path_, facts, error);
    if (!result.document) {
      result.reason = facts.regular || facts.mode != 0 ? "unreadable" : "missing";
      result.text = fmt::format("'{}' cannot be read: {}", path_, error);
    } else if (facts.bytes > most_bytes) {
      result.reason = name_of(config_refusal::too_large);
      result.text = fmt::format("'{}' has {} bytes; forwarding.max_bytes is {}", path_, facts.bytes, most_bytes);
    } else {
      result.what = source_look::result::document;
    }
    return result;
  }

 private:
  config_world world_;
  std::string path_;
};

} // namespace

std::unique_ptr<source_reader> make_file_reader(config_world world, std::string path) {
  return std::make_unique<file_reader>(std::move(world), std::move(path));
}

bool config_source::poll() {
  auto found = parts_.reader->look(tag_, parts_.expected.max_bytes);
  switch (found.what) {
    case source_look::result::failed:
      return fail(std::move(found.reason), std::move(found.text));
    case source_look::result::unchanged:
      if (tag_.empty())
        return fail("refused_by_source",
                    fmt::format("{} says that nothing changed, but was not asked that", parts_.where));
      return set(of_document_);
    case source_look::result::document:
      break;
  }
  tag_.clear(); // until the document was read to its end
  const bool changed = take(*found.document);
  if (of_document_.snapshot || !of_document_.reason.empty())
    tag_ = std::move(found.tag);
  return changed;
}

bool config_source::take(std::istream& document) {
  digest hash{};
  std::uint64_t bytes = 0;
  if (!hash_of(document, parts_.expected.max_bytes, hash, bytes)) {
    of_document_ = {};
    return bytes > parts_.expected.max_bytes
               ? fail(std::string{name_of(config_refusal::too_large)},
                      fmt::format("{} holds more than {} bytes", parts_.where, parts_.expected.max_bytes))
               : fail("unreadable", fmt::format("{} could not be read to its end", parts_.where));
  }
  const bool known = of_document_.snapshot || !of_document_.reason.empty();
  if (known && hash == document_)
    return set(of_document_);
  auto expected = parts_.expected;
  // The same version may come again with the same content; an older one is a mistake of the generator's.
  expected.config.in_force = number(newest_) > 0 ? config_version{number(newest_) - 1} : config_version{};
  auto read = load_external_config(document, expected);
  document_ = hash;
  of_document_ = {};
  of_document_.who = parts_.where;
  if (read.snapshot) {
    newest_ = std::max(newest_, read.snapshot->version);
    of_document_.snapshot = std::move(read.snapshot);
  } else {
    of_document_.reason = name_of(read.reason);
    of_document_.text = fmt::format("{} {}", parts_.where, read.text);
  }
  return set(of_document_);
}

bool config_source::fail(std::string reason, std::string text) {
  config_reading failed;
  failed.reason = std::move(reason);
  failed.text = std::move(text);
  failed.who = parts_.where;
  return set(std::move(failed));
}

bool config_source::set(config_reading next) {
  std::lock_guard lock{mutex_};
  const bool changed = next.snapshot != last_.snapshot || next.reason != last_.reason || next.text != last_.text;
  last_ = std::move(next);
  return changed;
}

config_reading config_source::last() const {
  std::lock_guard lock{mutex_};
  return last_;
}

} // namespace weir
