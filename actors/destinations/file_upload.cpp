#include "actors/destinations/file_upload.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/destinations/object_identity.hpp"

namespace weir {

namespace {

/// Conditions that stay until somebody changes something at the destination.
bool is_lasting(std::error_code error) {
  switch (error.value()) {
    case EACCES:
    case EPERM:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return true;
    default:
      return false;
  }
}

bool is_under(const std::string& path, const std::string& root) {
  if (root == "/")
    return true;
  return path.compare(0, root.size(), root) == 0 && (path.size() == root.size() || path[root.size()] == '/');
}

bool has_odd_part(const std::string& path) {
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at + 1), path.size());
    const auto part = path.substr(at + 1, end - at - 1);
    if (part.empty() || part == "." || part == "..")
      return true;
    at = end;
  }
  return false;
}

} // namespace

std::optional<file_target> parse_file_target(const std::string& url, const file_settings& settings, std::string& why) {
  const std::string scheme = "file://";
  if (url.compare(0, scheme.size() + 1, scheme + "/") != 0) {
    why = "the address does not begin with file:///";
    return std::nullopt;
  }
  const auto path = url.substr(scheme.size());
  if (path.size() > 4096 || path.find('\0') != std::string::npos || has_odd_part(path)) {
    why = "the path is too long or has an empty part, '.', '..' or NUL in it";
    return std::nullopt;
  }
  const auto slash = path.rfind('/');
  const auto directory = slash == 0 ? std::string{"/"} : path.substr(0, slash);
  auto allowed = settings.roots.empty();
  for (const auto& root : settings.roots)
    allowed = allowed || is_under(directory, root);
  for (const auto& root : settings.closed_roots)
    allowed = allowed && !is_under(directory, root);
  if (!allowed) {
    why = fmt::format("{} is not under a directory that files may be pushed to", directory);
    return std::nullopt;
  }
  const auto name = path.substr(slash + 1);
  return file_target{directory, path, fmt::format("{}/.{}.part", slash == 0 ? "" : directory, name)};
}

file_upload::file_upload(file_target target, std::optional<std::uint64_t> length, disk& where)
    : target_(std::move(target)), length_(length), disk_(where) {}

file_upload::~file_upload() {
  if (!has_temporary_)
    return;
  file_.reset();
  // Should this fail too, the repeat of the upload overwrites the file: it has the same name.
  (void)disk_.remove(target_.temporary);
}

file_upload::step file_upload::fail(const char* what, std::error_code error) {
  outcome_.result = is_lasting(error) ? upload_result::refused : upload_result::failed;
  outcome_.error = fmt::format("{} {}: {}", what, target_.directory, error.message());
  return step::finished;
}

void file_upload::give_up(std::string why) {
  outcome_.result = upload_result::failed;
  outcome_.error = std::move(why);
}

std::error_code file_upload::open_temporary() {
  auto error = disk_.open(target_.temporary, disk::open_mode::create, file_);
  if (error.value() == ENOENT) {
    error = disk_.make_directories(target_.directory);
    if (!error)
      error = disk_.open(target_.temporary, disk::open_mode::create, file_);
  }
  if (error)
    return error;
  has_temporary_ = true;
  return file_->truncate(0);
}

file_upload::step file_upload::begin() {
  std::unique_ptr<disk_file> existing;
  const auto error = disk_.open(target_.path, disk::open_mode::read, existing);
  if (!error) {
    outcome_.result = upload_result::exists;
    outcome_.existing_identity = identity_of_object(*existing);
    outcome_.error = "an object of this name is there already";
    // Perhaps renamed by a run that crashed before the directory was synced.
    return step::needs_directory;
  }
  if (error.value() != ENOENT)
    return fail("cannot look into", error);
  if (const auto trouble = open_temporary())
    return fail("cannot make a file in", trouble);
  return step::wants_window;
}

file_upload::step file_upload::write(const std::string& window, bool last) {
  if (!window.empty()) {
    if (const auto error = file_->write(written_, {std::string_view{window}}))
      return fail("cannot write to", error);
    written_ += window.size();
  }
  if (length_ && (written_ > *length_ || (last && written_ != *length_))) {
    give_up(fmt::format("the object has {} bytes where {} were announced", written_, *length_));
    return step::finished;
  }
  return last ? publish() : step::wants_window;
}

file_upload::step file_upload::publish() {
  if (const auto error = file_->sync())
    return fail("cannot make a file durable in", error);
  file_.reset();
  if (const auto error = disk_.rename(target_.temporary, target_.path))
    return fail("cannot rename a file in", error);
  has_temporary_ = false;
  outcome_.result = upload_result::stored;
  return step::needs_directory;
}

void file_upload::seal(std::error_code error) {
  if (error)
    fail("cannot make a name durable in", error);
}

} // namespace weir
