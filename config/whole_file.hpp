#pragma once

#include <functional>
#include <iosfwd>
#include <istream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace weir {

class disk;
class disk_file;

/// Reads a small file. `EFBIG` if it has more than `most` bytes.
std::error_code read_whole_file(disk& on, const std::string& path, std::size_t most, std::string& into);

/// Puts `text` in the place of the file, for this user alone (0600): after a crash there is the old file or the
/// new one, never a part. Durable when it returns. Makes missing directories.
std::error_code replace_whole_file(disk& on, const std::string& path, std::string_view text);
/// The same for what is written piece by piece; `write` says whether it could write everything.
std::error_code replace_whole_file(disk& on, const std::string& path,
                                   const std::function<bool(std::ostream& into)>& write);

/// A file as a stream. Reads of the disk that fail make the stream bad. Null, with the error, if it cannot
/// be opened. The disk outlives the stream.
std::unique_ptr<std::istream> open_stream(disk& on, const std::string& path, std::error_code& error);

} // namespace weir
