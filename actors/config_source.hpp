#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "actors/publication/config_targets.hpp"
#include "actors/source_reader.hpp"
#include "config/forwarding_document.hpp"
#include "config/node_config.hpp"

namespace weir {

struct config_source_parts {
  std::unique_ptr<source_reader> reader;
  external_expectations expected;
  std::string where; ///< `file:PATH` or the URL, for people.
};

/// The forwarding config of an external generator, as it was found last. Whatever goes wrong is a failure with a name
/// and never a config: a missing file, an empty answer or half a document says nothing about any customer.
///
/// A failure lasts until the source is well again, also while it goes on holding the very document that was refused. A
/// document that is the same as before is not read again.
class config_source {
 public:
  explicit config_source(config_source_parts parts) : parts_(std::move(parts)) { last_.who = parts_.where; }

  /// Looks once; blocks as its reader does. One thread at a time. True if `last` says something else now.
  bool poll();

  /// Without a snapshot before the first `poll`: `not_read_yet`. From any thread.
  config_reading last() const;

 private:
  using digest = std::array<unsigned char, 32>;

  bool take(std::istream& document);
  bool set(config_reading next);
  bool fail(std::string reason, std::string text);

  config_source_parts parts_;
  std::string tag_;            // of what `document_` is
  digest document_{};          // that was read last, fine or refused
  config_reading of_document_; // what came of it
  config_version newest_{};    // of the generator's documents that were fine
  mutable std::mutex mutex_;
  config_reading last_{nullptr, "not_read_yet", "the source was not read yet", {}, {}};
};

/// Reads a file; the path may be a symbolic link that the generator moves. Its state has no tag.
std::unique_ptr<source_reader> make_file_reader(config_world world, std::string path);

} // namespace weir
