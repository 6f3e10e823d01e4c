#include "apps/backup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <nlohmann/json.hpp>

#include "apps/real/real_environment.hpp"
#include "messages/error.hpp"
#include "store/inspect.hpp"
#include "store/segment_files.hpp"
#include "store/store.hpp"
#include "supervisors/ledger_marks.hpp"

namespace weir {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t step_bytes = 1 << 20;
constexpr std::uint64_t most_manifest_bytes = 64ull << 20; // 65,534 segments and their sidecars are a third of it
constexpr std::string_view half_written = store::segment_files::temporary_suffix;

class file_handle {
 public:
  file_handle(const std::string& path, int flags, mode_t mode = 0600)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode)) {
    if (fd_ < 0)
      fail();
  }
  ~file_handle() { ::close(fd_); }
  file_handle(const file_handle&) = delete;
  file_handle& operator=(const file_handle&) = delete;

  std::size_t read(char* into, std::size_t size) {
    for (;;) {
      const auto got = ::read(fd_, into, size);
      if (got >= 0)
        return static_cast<std::size_t>(got);
      if (errno != EINTR)
        fail();
    }
  }
  void write(const char* from, std::size_t size) {
    while (size > 0) {
      const auto put = ::write(fd_, from, size);
      if (put < 0 && errno != EINTR)
        fail();
      if (put > 0) {
        from += put;
        size -= static_cast<std::size_t>(put);
      }
    }
  }
  /// A hole: what is skipped reads as zeros.
  void skip(std::uint64_t size) {
    if (::lseek(fd_, static_cast<off_t>(size), SEEK_CUR) < 0)
      fail();
  }
  void end_at(std::uint64_t size) {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
      fail();
  }
  /// Makes a file without holes, so that no later write can fail for lack of space.
  void fill(std::uint64_t size) {
    if (const auto why = ::posix_fallocate(fd_, 0, static_cast<off_t>(size)))
      throw std::system_error(why, std::generic_category(), path_);
  }
  void sync() {
    if (::fsync(fd_) != 0)
      fail();
  }

 private:
  [[noreturn]] void fail() const { throw std::system_error(errno, std::generic_category(), path_); }
  std::string path_;
  int fd_ = -1;
};

/// Run by root, a restore leaves what it made to the user that owned the data directory.
void give_to_owner_of(const fs::path& target, const fs::path& made) {
  struct stat owner {};
  if (::geteuid() != 0 || ::stat(target.c_str(), &owner) != 0)
    return;
  const auto give = [&](const fs::path& x) {
    if (::lchown(x.c_str(), owner.st_uid, owner.st_gid) != 0)
      throw std::system_error(errno, std::generic_category(), x.string());
  };
  give(made);
  for (const auto& x : fs::recursive_directory_iterator(made))
    give(x.path());
}

void sync_directory(const fs::path& directory) {
  file_handle{directory.string(), O_RDONLY | O_DIRECTORY}.sync();
}

class sha256 {
 public:
  sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
      throw std::runtime_error("SHA-256 is not to be had");
  }
  void add(const char* bytes, std::size_t size) { EVP_DigestUpdate(context_.get(), bytes, size); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i)
      text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

struct listed_file {
  std::string path; ///< Relative to the data directory.
  std::uint64_t bytes = 0;
  std::string digest;
};

/// Copies one file, leaving holes where it has zeros, and returns its digest.
std::string copy_file(const fs::path& from, const fs::path& to, std::uint64_t& bytes) {
  file_handle in{from.string(), O_RDONLY};
  file_handle out{to.string(), O_WRONLY | O_CREAT | O_EXCL};
  sha256 digest;
  std::string buffer(step_bytes, '\0');
  bytes = 0;
  while (const auto got = in.read(buffer.data(), buffer.size())) {
    digest.add(buffer.data(), got);
    if (std::all_of(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got), [](char c) { return c == 0; }))
      out.skip(got);
    else
      out.write(buffer.data(), got);
    bytes += got;
  }
  out.end_at(bytes);
  out.sync();
  return digest.hex();
}

std::string digest_of(const fs::path& path) {
  file_handle in{path.string(), O_RDONLY};
  sha256 digest;
  std::string buffer(step_bytes, '\0');
  while (const auto got = in.read(buffer.data(), buffer.size()))
    digest.add(buffer.data(), got);
  return digest.hex();
}

void make_private_directory(const fs::path& path) {
  fs::create_directories(path);
  fs::permissions(path, fs::perms::owner_all);
}

void write_private(const fs::path& path, const std::string& text) {
  file_handle file{path.string(), O_WRONLY | O_CREAT | O_EXCL};
  file.write(text.data(), text.size());
  file.sync();
}

/// Whether the directory is missing or empty; an error in a sentence if it is neither.
std::string must_be_empty(const std::string& directory) {
  std::error_code why;
  if (!fs::exists(directory, why) || (fs::is_directory(directory, why) && fs::is_empty(directory, why)))
    return {};
  return why ? fmt::format("{}: {}", directory, why.message()) : fmt::format("{} is not empty", directory);
}

/// What a backup has no use for: the lock, what a crash left half-written, segments that hold nothing, and what the
/// node's heartbeat delivered to itself.
bool left_out(const std::string& path, const std::vector<std::string>& free_segments) {
  if (path == "store/" + std::string{store::segment_files::lock_name} || path.rfind("heartbeat/", 0) == 0)
    return true;
  if (path.size() > half_written.size()
      && path.compare(path.size() - half_written.size(), path.npos, half_written) == 0)
    return true;
  return std::find(free_segments.begin(), free_segments.end(), path) != free_segments.end();
}

std::vector<listed_file> list_files(const fs::path& data_dir, const std::vector<std::string>& free_segments) {
  std::vector<listed_file> files;
  for (const auto& x : fs::recursive_directory_iterator(data_dir)) {
    const auto path = fs::relative(x.path(), data_dir).generic_string();
    if (x.is_directory() && !x.is_symlink())
      continue;
    if (!x.is_regular_file() || x.is_symlink())
      throw std::runtime_error(
          fmt::format("{} is no plain file; a backup would not hold what it stands for", x.path().string()));
    if (!left_out(path, free_segments))
      files.push_back({path, x.file_size(), {}});
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

std::uint64_t total_bytes(const std::vector<listed_file>& files) {
  std::uint64_t sum = 0;
  for (const auto& x : files)
    sum += x.bytes;
  return sum;
}

store::inspection look_at(const std::string& directory, bool verify) {
  store::inspect_options how;
  how.verify = verify;
  const auto disk = make_real_disk();
  auto found = store::inspect_store(directory, *disk, how);
  if (!found)
    throw std::runtime_error(
        fmt::format("{}: {}", directory, render_error(found.error().code(), error_category, found.error().context())));
  return std::move(*found);
}

/// Held for as long as the copy takes: no node may write meanwhile.
std::unique_ptr<disk_file> take_lock(const std::string& data_dir) {
  const auto path = data_dir + "/store/" + store::segment_files::lock_name;
  std::error_code why;
  if (!fs::is_directory(data_dir + "/store", why))
    throw std::runtime_error(fmt::format("{} holds no store", data_dir));
  std::unique_ptr<disk_file> lock;
  why = make_real_disk()->open(path, disk::open_mode::create, lock);
  if (!why)
    why = lock->lock();
  if (why == std::errc::operation_would_block)
    throw std::runtime_error(
        fmt::format("{} is in use by a running node: stop it first, or back up a snapshot of its "
                    "file system",
                    data_dir));
  if (why)
    throw std::runtime_error(fmt::format("{}: {}", path, why.message()));
  return lock;
}

backup_report report_of(const std::vector<listed_file>& files, const store::inspection& found) {
  backup_report report;
  report.files = files.size();
  report.bytes = total_bytes(files);
  report.jobs = found.jobs;
  report.buffered_events = found.buffered_events;
  report.damaged = found.damaged();
  return report;
}

std::string manifest_of(const std::vector<listed_file>& files, const backup_report& report,
                        const store::inspection& found, const std::string& version) {
  json manifest = {
      {"weir_backup", 1},
      {"made_at", render_moment(std::chrono::system_clock::now())},
      {"made_by", version},
      {"store",
       {{"identity", fmt::format("{:016x}", found.identity)},
        {"format", found.format},
        {"jobs", found.jobs},
        {"buffered_events", found.buffered_events},
        {"damaged", report.damaged}}},
      {"files", json::array()},
  };
  for (const auto& x : files)
    manifest["files"].push_back({{"path", x.path}, {"bytes", x.bytes}, {"sha256", x.digest}});
  return manifest.dump(1) + '\n';
}

/// The manifest, checked against its own digest.
json read_manifest(const fs::path& directory) {
  const auto path = directory / "manifest.json";
  if (!fs::exists(path))
    throw std::runtime_error(
        fmt::format("{} has no manifest.json: it is no backup, or one that was broken off", directory.string()));
  if (fs::file_size(path) > most_manifest_bytes)
    throw std::runtime_error(fmt::format("{} is too large for a manifest", path.string()));
  std::string expected;
  std::ifstream{directory / "manifest.json.sha256"} >> expected;
  if (digest_of(path) != expected)
    throw std::runtime_error(fmt::format("{} is not what its checksum says", path.string()));
  auto manifest = json::parse(std::ifstream{path}, nullptr, false);
  if (!manifest.is_object() || manifest.value("weir_backup", 0) != 1)
    throw std::runtime_error(fmt::format("{} is of a kind that this build does not know", path.string()));
  return manifest;
}

std::vector<listed_file> files_of(const json& manifest) {
  std::vector<listed_file> files;
  for (const auto& x : manifest.at("files")) {
    listed_file file{x.at("path").get<std::string>(), x.at("bytes").get<std::uint64_t>(),
                     x.at("sha256").get<std::string>()};
    const fs::path path{file.path};
    // Nothing outside the data directory, whoever wrote the manifest.
    if (path.is_absolute() || path.empty() || path != path.lexically_normal() || *path.begin() == "..")
      throw std::runtime_error(
          fmt::format("the manifest names {}, which is no path within a data directory", file.path));
    files.push_back(std::move(file));
  }
  return files;
}

/// Gives every job's generation its end, so that the first new event opens another.
std::uint64_t end_generations(const std::string& directory, const restore_options& how) {
  constexpr std::size_t records_a_group = 2'000; // 64 bytes each
  environment world;
  world.clock = make_real_clock();
  world.disk = make_real_disk();
  world.random = make_real_random();
  world.memory = make_real_memory();
  store::settings settings;
  settings.directory = directory;
  settings.segment_bytes = how.segment_bytes;
  auto opened = store::segmented_store::open(settings, world);
  const auto check = [&](const caf::error& why) {
    if (why)
      throw std::runtime_error(
          fmt::format("{}: {}", directory, render_error(why.code(), error_category, why.context())));
  };
  if (!opened)
    check(opened.error());
  auto& store = *opened->store;
  std::vector<store::append_record> group;
  std::uint64_t ended = 0;
  const auto write = [&] {
    if (!group.empty())
      check(store.append(group));
    group.clear();
  };
  for (const auto& job : store.jobs()) {
    if (job.closed)
      continue;
    group.push_back({store::record_kind::closing, job.job, {job.current, job.next, 0}, {}, nullptr});
    ++ended;
    if (group.size() == records_a_group)
      write();
  }
  write();
  check(store.close());
  return ended;
}

void copy_all(const fs::path& from, const fs::path& to, std::vector<listed_file>& files, bool check,
              const backup_progress& progress) {
  const auto all = total_bytes(files);
  std::uint64_t done = 0;
  std::vector<fs::path> directories{to};
  for (auto& x : files) {
    if (progress)
      progress(x.path, done, all);
    const auto target = to / x.path;
    if (std::find(directories.begin(), directories.end(), target.parent_path()) == directories.end()) {
      make_private_directory(target.parent_path());
      directories.push_back(target.parent_path());
    }
    std::uint64_t bytes = 0;
    const auto digest = copy_file(from / x.path, target, bytes);
    if (check && (digest != x.digest || bytes != x.bytes))
      throw std::runtime_error(
          fmt::format("{} is not what the manifest says: the backup is damaged", (from / x.path).string()));
    x.digest = digest;
    x.bytes = bytes;
    done += bytes;
  }
  for (const auto& x : directories)
    sync_directory(x);
}

template <class Work>
backup_report guarded(Work&& work) {
  try {
    return work();
  } catch (const std::exception& why) {
    backup_report failed;
    failed.error = why.what();
    return failed;
  }
}

} // namespace

backup_report make_backup(const std::string& data_dir, const std::string& directory, const std::string& version,
                          const backup_progress& progress) {
  return guarded([&] {
    if (auto wrong = must_be_empty(directory); !wrong.empty())
      throw std::runtime_error(std::move(wrong));
    const auto inside = fs::weakly_canonical(directory).lexically_relative(fs::weakly_canonical(data_dir));
    if (!inside.empty() && *inside.begin() != "..")
      throw std::runtime_error(fmt::format("{} lies within {}", directory, data_dir));
    const auto lock = take_lock(data_dir);
    std::vector<std::string> free_segments;
    for (const auto& x : look_at(data_dir + "/store", false).segments)
      if (x.segment == 0)
        free_segments.push_back("store/" + x.file);
    auto files = list_files(data_dir, free_segments);
    make_private_directory(fs::path{directory} / "data");
    fs::permissions(directory, fs::perms::owner_all);
    copy_all(data_dir, fs::path{directory} / "data", files, false, progress);
    // Read back what was written: a backup that nobody read is none.
    for (const auto& x : files)
      if (digest_of(fs::path{directory} / "data" / x.path) != x.digest)
        throw std::runtime_error(fmt::format("{} reads back as something else than was written", x.path));
    const auto found = look_at(directory + "/data/store", true);
    const auto report = report_of(files, found);
    const auto manifest = manifest_of(files, report, found, version);
    sha256 digest;
    digest.add(manifest.data(), manifest.size());
    write_private(fs::path{directory} / "manifest.json.sha256", digest.hex() + "  manifest.json\n");
    write_private(fs::path{directory} / "manifest.json", manifest);
    sync_directory(directory);
    return report;
  });
}

backup_report restore_backup(const std::string& directory, const std::string& data_dir, const restore_options& how,
                             const backup_progress& progress) {
  const auto target = fs::path{data_dir}.lexically_normal();
  const auto staging = target.string() + ".restoring";
  bool staged = false;
  auto report = guarded([&] {
    if (auto wrong = must_be_empty(target.string()); !wrong.empty())
      throw std::runtime_error(wrong + "; a restore overwrites nothing");
    if (fs::exists(staging))
      throw std::runtime_error(fmt::format("{} is there: a restore was broken off; remove it first", staging));
    const auto manifest = read_manifest(directory);
    auto files = files_of(manifest);
    if (manifest.at("store").value("damaged", false) && !how.accept_damage)
      throw std::runtime_error(
          "the store was damaged when the backup was made; --accept-damage restores it all the "
          "same: what is bad is set aside and counted");
    make_private_directory(staging);
    staged = true;
    copy_all(fs::path{directory} / "data", staging, files, true, progress);
    for (const auto& x : files)
      if (x.path.rfind("store/segment-", 0) == 0)
        file_handle{staging + '/' + x.path, O_RDWR}.fill(x.bytes);
    auto result = report_of(files, look_at(staging + "/store", true));
    if (result.damaged && !how.accept_damage)
      throw std::runtime_error("the store in the backup is damaged");
    result.ended_generations = end_generations(staging + "/store", how);
    write_private(staging + "/restored.json", json{{"restored_at", render_moment(std::chrono::system_clock::now())},
                                                   {"backup_made_at", manifest.value("made_at", "")},
                                                   {"ended_generations", result.ended_generations}}
                                                      .dump()
                                                  + '\n');
    sync_directory(staging);
    fs::create_directories(target.parent_path().empty() ? fs::path{"."} : target.parent_path());
    give_to_owner_of(target, staging);
    fs::rename(staging, target); // over an empty directory, too
    sync_directory(target.parent_path().empty() ? fs::path{"."} : target.parent_path());
    return result;
  });
  if (!report.error.empty() && staged) {
    std::error_code ignored;
    fs::remove_all(staging, ignored); // If it stays, the next restore names it.
  }
  return report;
}

} // namespace weir
