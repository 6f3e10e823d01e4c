#define FUSE_USE_VERSION 312

#include "tests/support/lossy_disk/file_system.hpp"

#include <cerrno>
#include <cstdio>
#include <thread>

#include <fcntl.h>
#include <fuse.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace weir::lossy {
namespace {

mounted_disk& shared() {
  return *static_cast<mounted_disk*>(fuse_get_context()->private_data);
}

/// FUSE wants errors negative. A handle from before a power cut belongs to a device that is gone: EIO.
int answer(std::error_code error) {
  if (!error)
    return 0;
  return error.value() == EBADF ? -EIO : -error.value();
}

/// What a `fuse_file_info` carries: a file or, for directories, the path.
struct handle {
  std::unique_ptr<disk_file> file;
  std::string directory;
};

handle& of(fuse_file_info* info) {
  return *reinterpret_cast<handle*>(info->fh);
}

void attach(fuse_file_info* info, std::unique_ptr<disk_file> file, std::string directory) {
  info->fh = reinterpret_cast<std::uint64_t>(new handle{std::move(file), std::move(directory)});
}

int get_attributes(const char* path, struct stat* about, fuse_file_info* info) {
  *about = {};
  about->st_uid = ::getuid();
  about->st_gid = ::getgid();
  about->st_blksize = 4096;
  auto size = std::uint64_t{0};
  auto directory = false;
  if (info && of(info).file) {
    if (auto error = of(info).file->size(size))
      return answer(error);
  } else {
    if (shared().disk.crashed())
      return -EIO;
    auto found = shared().disk.look_up(info ? of(info).directory : path);
    if (!found)
      return -ENOENT;
    size = found->size;
    directory = found->directory;
  }
  about->st_mode = directory ? S_IFDIR | 0750 : S_IFREG | 0640;
  about->st_nlink = directory ? 2 : 1;
  about->st_size = static_cast<off_t>(size);
  about->st_blocks = static_cast<blkcnt_t>((size + 511) / 512);
  return 0;
}

int open_as(const char* path, disk::open_mode mode, fuse_file_info* info) {
  std::unique_ptr<disk_file> file;
  if (auto error = shared().disk.open(path, mode, file))
    return answer(error);
  attach(info, std::move(file), {});
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  auto reads = (info->flags & O_ACCMODE) == O_RDONLY;
  return open_as(path, reads ? disk::open_mode::read : disk::open_mode::read_write, info);
}

int create_file(const char* path, mode_t, fuse_file_info* info) {
  auto exclusive = (info->flags & O_EXCL) != 0;
  return open_as(path, exclusive ? disk::open_mode::create_exclusive : disk::open_mode::create, info);
}

int release(const char*, fuse_file_info* info) {
  delete &of(info);
  return 0;
}

int read_bytes(const char*, char* into, std::size_t size, off_t offset, fuse_file_info* info) {
  std::size_t got = 0;
  auto error = of(info).file->read(static_cast<std::uint64_t>(offset), into, size, got);
  return error ? answer(error) : static_cast<int>(got);
}

int write_bytes(const char*, const char* from, std::size_t size, off_t offset, fuse_file_info* info) {
  auto error = of(info).file->write(static_cast<std::uint64_t>(offset), {std::string_view(from, size)});
  return error ? answer(error) : static_cast<int>(size);
}

int sync_file(const char*, int, fuse_file_info* info) {
  return answer(of(info).file->sync());
}

int truncate_file(const char* path, off_t size, fuse_file_info* info) {
  auto bytes = static_cast<std::uint64_t>(size);
  if (info)
    return answer(of(info).file->truncate(bytes));
  std::unique_ptr<disk_file> file;
  if (auto error = shared().disk.open(path, disk::open_mode::read_write, file))
    return answer(error);
  return answer(file->truncate(bytes));
}

int allocate(const char*, int mode, off_t offset, off_t length, fuse_file_info* info) {
  if (mode != 0)
    return -EOPNOTSUPP;
  return answer(of(info).file->allocate(static_cast<std::uint64_t>(offset + length)));
}

int open_directory(const char* path, fuse_file_info* info) {
  attach(info, nullptr, path);
  return 0;
}

int read_directory(const char*, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info* info, fuse_readdir_flags) {
  std::vector<std::string> names;
  if (auto error = shared().disk.list(of(info).directory, names))
    return answer(error);
  names.insert(names.begin(), {".", ".."});
  for (auto& name : names)
    if (fill(buffer, name.c_str(), nullptr, 0, fuse_fill_dir_flags{}) != 0)
      return -ENOMEM;
  return 0;
}

int sync_directory(const char*, int, fuse_file_info* info) {
  return answer(shared().disk.sync_directory(of(info).directory));
}

int make_directory(const char* path, mode_t) {
  return answer(shared().disk.make_directory(path));
}

int remove_directory(const char* path) {
  return answer(shared().disk.remove_directory(path));
}

int remove_file(const char* path) {
  return answer(shared().disk.remove(path));
}

int rename_file(const char* from, const char* to, unsigned flags) {
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0)
    return -EINVAL;
  if (flags != 0 && shared().disk.look_up(to))
    return -EEXIST;
  return answer(shared().disk.rename(from, to));
}

int file_system_status(const char*, struct statvfs* about) {
  disk::space space;
  if (auto error = shared().disk.free_space("/", space))
    return answer(error);
  *about = {};
  about->f_bsize = about->f_frsize = 4096;
  about->f_blocks = space.total / 4096;
  about->f_bfree = about->f_bavail = space.available / 4096;
  about->f_files = about->f_ffree = 1 << 20;
  about->f_namemax = 255;
  return 0;
}

// Accepted and forgotten: nothing that runs on this disk relies on times, owners or modes.
int set_times(const char*, const timespec*, fuse_file_info*) {
  return 0;
}
int set_mode(const char*, mode_t, fuse_file_info*) {
  return 0;
}
int set_owner(const char*, uid_t, gid_t, fuse_file_info*) {
  return 0;
}

void* initialise(fuse_conn_info* connection, fuse_config* config) {
  // Writes must reach us when they are made, not when the kernel pleases.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE);
  connection->max_write = 1 << 20;
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  config->nullpath_ok = 1; // All is in the handle.
  config->hard_remove = 1; // `fake_disk` keeps removed files for their handles itself.
  return fuse_get_context()->private_data;
}

fuse_operations operations() {
  fuse_operations x{};
  x.init = initialise;
  x.getattr = get_attributes;
  x.open = open_file;
  x.create = create_file;
  x.release = release;
  x.read = read_bytes;
  x.write = write_bytes;
  x.fsync = sync_file;
  x.truncate = truncate_file;
  x.fallocate = allocate;
  x.opendir = open_directory;
  x.readdir = read_directory;
  x.releasedir = release;
  x.fsyncdir = sync_directory;
  x.mkdir = make_directory;
  x.rmdir = remove_directory;
  x.unlink = remove_file;
  x.rename = rename_file;
  x.statfs = file_system_status;
  x.utimens = set_times;
  x.chmod = set_mode;
  x.chown = set_owner;
  return x;
}

} // namespace

void mounted_disk::install_delay() {
  disk.set_hook([this](disk_operation kind, const std::string&) {
    if (kind == disk_operation::sync || kind == disk_operation::sync_directory)
      if (auto delay = sync_delay_ms.load(); delay > 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
  });
}

int serve(mounted_disk& shared, const std::string& mount_point) {
  char name[] = "weir_lossy_disk", option[] = "-o", options[] = "fsname=weir_lossy_disk";
  char* words[] = {name, option, options, nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(3, words);
  auto table = operations();
  auto* mounted = fuse_new(&arguments, &table, sizeof table, &shared);
  fuse_opt_free_args(&arguments);
  if (!mounted)
    return 1;
  auto code = 1;
  if (fuse_mount(mounted, mount_point.c_str()) == 0) {
    auto* session = fuse_get_session(mounted);
    if (fuse_set_signal_handlers(session) == 0) {
      auto* config = fuse_loop_cfg_create();
      code = fuse_loop_mt(mounted, config) == 0 ? 0 : 1;
      fuse_loop_cfg_destroy(config);
      fuse_remove_signal_handlers(session);
    }
    fuse_unmount(mounted);
  }
  fuse_destroy(mounted);
  return code;
}

} // namespace weir::lossy
