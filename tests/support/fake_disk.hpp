#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "messages/environment.hpp"
#include "tests/support/paged_file.hpp"

namespace weir {

/// What can be asked of a disk; for faults and counts.
enum class disk_operation : std::uint8_t {
  open,
  read,
  write,
  sync,
  allocate,
  truncate,
  size,
  rename,
  remove,
  make_directories,
  list,
  sync_directory,
  free_space,
};
constexpr std::size_t disk_operation_kinds = 13;

/// A fault to come: the `nth` operation of `kind` whose path contains `path_part` fails with `error`
/// (an errno value), and so do the `times - 1` matching ones behind it.
///
/// A failing write has written a seeded part of its range first. A failing sync loses what was
/// pending, as Linux does: reads go on showing it, the pages count as clean, no later sync writes
/// them. Every other failing operation has no effect.
struct disk_fault {
  disk_operation kind = disk_operation::sync;
  int error = 5;           ///< EIO.
  std::uint64_t nth = 1;   ///< 1 is the next matching one.
  std::uint64_t times = 1; ///< `disk_fault::for_ever` until `heal`.
  std::string path_part{}; ///< Empty matches all.
  static constexpr std::uint64_t for_ever = ~0ull;
};

/// A disk in memory that forgets on a crash whatever was not made durable. Deterministic for a given
/// order of calls and seed; thread-safe (one lock), so handles may be used from several threads.
///
/// What counts as durable is no more than POSIX promises, less than ext4 gives:
/// - pages (4 KiB) and the size of a file: after `sync` of a handle of this file;
/// - a creation, rename or removal: after `sync_directory` of its directory (a rename between two
///   directories: of either). `sync` of a new file does not keep its name;
/// - `make_directories`: when it returns, as the contract says.
///
/// A crash decides by seed. An eighth of the seeds loses everything pending, an eighth keeps all of
/// it; with the others each pending page on its own is lost, kept, kept as one of its (up to four
/// latest) earlier contents since the last sync, or torn: each 512 B sector old or new. So pages reach the
/// disk in any order. The file's size is the durable one, one it had since, or a page boundary between; bytes never
/// written read as zeros. Pending names are kept up to some moment, or any subset of them.
///
/// Directories cannot be renamed. Paths are compared after lexical normalisation; links do
/// not exist. `/` and `.` are always there; other parents must be made first (`ENOENT`).
class fake_disk final : public disk {
 public:
  /// `lose_all`, `keep_all`, or `mixed`: the rest of the seeds, see above.
  using pending_fate = paged_file::crash_mode;

  /// `seed` is for what faults leave behind; crashes have seeds of their own.
  explicit fake_disk(std::uint64_t seed = 1);
  ~fake_disk() override;
  fake_disk(const fake_disk&) = delete;
  fake_disk& operator=(const fake_disk&) = delete;

  std::error_code open(const std::string& path, open_mode mode, std::unique_ptr<disk_file>& file) override;
  std::error_code rename(const std::string& from, const std::string& to) override;
  std::error_code remove(const std::string& path) override;
  std::error_code make_directories(const std::string& path) override;
  std::error_code list(const std::string& directory, std::vector<std::string>& names) override;
  std::error_code sync_directory(const std::string& directory) override;
  std::error_code free_space(const std::string& directory, space& result) override;

  // -- beyond the contract, for those who put another front before this disk ------------------

  /// Not durable before `sync_directory` of its parent. Errors as mkdir(2).
  std::error_code make_directory(const std::string& path);
  std::error_code remove_directory(const std::string& path);
  struct entry {
    bool directory = false;
    std::uint64_t size = 0;
  };
  /// No operation: neither counted nor refused.
  std::optional<entry> look_up(const std::string& path) const;

  // -- power cuts ----------------------------------------------------------------------------

  /// Power off and on. Handles opened before fail with `EBADF` from now on. Scheduled faults, the
  /// hook and `crash_at` are cleared; capacity and `set_read_only` stay.
  void crash(std::uint64_t seed, std::optional<pending_fate> fate = {});
  /// What the disk would hold had power failed now; this disk goes on undisturbed. Cheap (pages are
  /// shared), so a test can try many seeds at one instant. Capacity is kept; no faults.
  std::shared_ptr<fake_disk> image_after_crash(std::uint64_t seed, std::optional<pending_fate> fate = {}) const;
  /// Power fails at the `nth` change from now (1 = the next): it is left pending in whole (a sync or make_directories:
  /// undone), and it and every later operation, reads too, fail with `EIO` until `crash`, which decides its fate.
  /// Changes are write, sync, allocate, truncate, rename, remove, make_directories, sync_directory and an open that
  /// makes a file. To crash at each step: run once, read `changes()`, then run with 1 … that number.
  void crash_at(std::uint64_t nth);
  /// Whether `crash_at` or `power_off` has struck and `crash` has not been called since.
  bool crashed() const;
  /// Power fails now: every operation fails with `EIO` until `crash`.
  void power_off();

  // -- faults --------------------------------------------------------------------------------

  void inject(disk_fault fault);
  /// Drops all faults that have not struck, or not often enough.
  void heal();
  /// How many operations failed by `inject` so far: a fault that never struck tests nothing.
  std::uint64_t faults_struck() const;
  /// Most bytes of all files together, in whole pages; beyond it `write`, `allocate` and an opening
  /// that makes a file fail with `ENOSPC` (a write after it wrote what fitted). Removing, truncating and
  /// closing the last handle of a removed file give space back. May be less than what is used already: a foreign file
  /// came.
  void set_capacity(std::uint64_t bytes);
  /// As after `mount -o remount,ro`: changes fail with `EROFS`; a sync with nothing pending succeeds.
  void set_read_only(bool on);
  /// Turns one bit of a file over, on the medium and in the cache. False if there is no such byte.
  bool flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);
  /// Forgets cached pages that are clean: after a failed sync, reads show what the disk holds.
  void drop_caches();
  /// Called at the start of every operation, outside the lock, on the caller's thread: it may block
  /// (a slow fsync) or call the disk. For handles the path is that of the opening.
  void set_hook(std::function<void(disk_operation, const std::string& path)> hook);

  // -- looking -------------------------------------------------------------------------------

  std::uint64_t count(disk_operation kind) const; ///< Calls so far, failed ones too.
  std::uint64_t changes() const;                  ///< See `crash_at`.
  std::uint64_t used_bytes() const;
  bool has_pending() const; ///< Whether a crash could lose anything.
  /// All bytes as a reader sees them now; none if there is no such file.
  std::optional<std::string> contents(const std::string& path) const;
  /// All bytes as they would be found had a crash lost everything pending; none if no such name would be.
  std::optional<std::string> durable_contents(const std::string& path) const;

 private:
  friend class fake_disk_file;
  struct state;
  std::shared_ptr<state> state_;
};

} // namespace weir
