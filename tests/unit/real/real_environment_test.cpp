#include "apps/real/real_environment.hpp"

#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <ostream>
#include <set>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using weir::disk;

namespace {

struct temporary_directory {
  temporary_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-real-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    path = pattern;
  }
  ~temporary_directory() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + '/' + name; }
  std::string path;
};

struct with_disk {
  temporary_directory directory;
  std::shared_ptr<disk> real = weir::make_real_disk();

  std::unique_ptr<weir::disk_file> make(const std::string& name) {
    std::unique_ptr<weir::disk_file> file;
    REQUIRE_FALSE(real->open(directory / name, disk::open_mode::create, file));
    return file;
  }
  std::string read_all(weir::disk_file& file, std::size_t most = 1 << 20) {
    std::string text(most, '\0');
    std::size_t got = 0;
    REQUIRE_FALSE(file.read(0, text.data(), text.size(), got));
    text.resize(got);
    return text;
  }
};

void put(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

} // namespace

TEST_CASE_FIXTURE(with_disk, "pieces are written one behind the other, empty ones too") {
  auto file = make("a");
  REQUIRE_FALSE(file->write(2, {"ab", "", "cd", ""}));
  REQUIRE_FALSE(file->sync());
  CHECK_EQ(read_all(*file), std::string("\0\0abcd", 6));
  CHECK_FALSE(file->write(0, {}));
  CHECK_FALSE(file->write(0, {"", ""}));
}

TEST_CASE_FIXTURE(with_disk, "a write of more pieces than one system call takes is whole") {
  auto file = make("a");
  std::vector<std::string> texts;
  std::string all;
  for (int i = 0; i < 2 * IOV_MAX + 7; ++i) {
    texts.push_back(i % 5 == 0 ? "" : std::to_string(i));
    all += texts.back();
  }
  REQUIRE_FALSE(file->write(0, {texts.begin(), texts.end()}));
  CHECK_EQ(read_all(*file), all);
}

TEST_CASE_FIXTURE(with_disk, "a short write is carried on where it stopped") {
  // A file size limit cuts the first pwritev short in the middle of a piece; the next one then fails.
  auto file = make("a");
  auto child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(file->write(0, {"123456", "7890ab"}).value());
  }
  int status = 0;
  REQUIRE_EQ(::waitpid(child, &status, 0), child);
  CHECK_EQ(WEXITSTATUS(status), EFBIG);
  CHECK_EQ(read_all(*file), "1234567890");
}

TEST_CASE_FIXTURE(with_disk, "a read is short only at the end of the file") {
  auto file = make("a");
  REQUIRE_FALSE(file->write(0, {"12345"}));
  char text[8];
  std::size_t got = 9;
  REQUIRE_FALSE(file->read(3, text, 8, got));
  CHECK_EQ(std::string(text, got), "45");
  REQUIRE_FALSE(file->read(5, text, 8, got));
  CHECK_EQ(got, 0);
}

TEST_CASE_FIXTURE(with_disk, "offsets beyond what a file can have are refused") {
  auto file = make("a");
  constexpr auto far = ~0ull - 1;
  char byte;
  std::size_t got = 0;
  CHECK_EQ(file->write(far, {"x"}).value(), EFBIG);
  CHECK_EQ(file->read(far, &byte, 1, got).value(), EINVAL);
  CHECK_EQ(file->allocate(far).value(), EFBIG);
  CHECK_EQ(file->truncate(far).value(), EFBIG);
}

TEST_CASE_FIXTURE(with_disk, "an allocation takes its blocks and keeps what is there") {
  auto file = make("a");
  REQUIRE_FALSE(file->write(0, {"x"}));
  REQUIRE_FALSE(file->allocate(0));
  REQUIRE_FALSE(file->allocate(1 << 20));
  std::uint64_t size = 0;
  REQUIRE_FALSE(file->size(size));
  CHECK_EQ(size, 1 << 20);
  struct stat about {};
  REQUIRE_EQ(::stat((directory / "a").c_str(), &about), 0);
  CHECK_GE(about.st_blocks * 512, 1 << 20);
  CHECK_EQ(read_all(*file)[0], 'x');
  REQUIRE_FALSE(file->truncate(1));
  CHECK_EQ(read_all(*file), "x");
}

TEST_CASE_FIXTURE(with_disk, "open modes mean what they say") {
  std::unique_ptr<weir::disk_file> file;
  CHECK_EQ(real->open(directory / "a", disk::open_mode::read, file).value(), ENOENT);
  CHECK_EQ(real->open(directory / "a", disk::open_mode::read_write, file).value(), ENOENT);
  REQUIRE_FALSE(real->open(directory / "a", disk::open_mode::create_exclusive, file));
  REQUIRE_FALSE(file->write(0, {"x"}));
  CHECK_EQ(real->open(directory / "a", disk::open_mode::create_exclusive, file).value(), EEXIST);
  REQUIRE_FALSE(real->open(directory / "a", disk::open_mode::create, file));
  CHECK_EQ(read_all(*file), "x");
  REQUIRE_FALSE(real->open(directory / "a", disk::open_mode::read, file));
  CHECK_EQ(file->write(0, {"y"}).value(), EBADF);
  CHECK_EQ(real->open(directory.path, disk::open_mode::read, file).value(), EISDIR);
  CHECK_EQ(real->open((directory / "a") + std::string("\0b", 2), disk::open_mode::create, file).value(), EINVAL);
  struct stat about {};
  REQUIRE_EQ(::stat((directory / "a").c_str(), &about), 0);
  CHECK_EQ(about.st_mode & 007, 0);
}

TEST_CASE_FIXTURE(with_disk, "files are not inherited by child programs") {
  auto file = make("a");
  auto found = false;
  for (auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored; // the iterator's own descriptor is gone by now
    if (std::filesystem::read_symlink(entry.path(), ignored) != directory / "a")
      continue;
    found = true;
    CHECK_EQ(::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  CHECK(found);
}

TEST_CASE_FIXTURE(with_disk, "directories are made with their parents, listed sorted, synced, measured") {
  REQUIRE_FALSE(real->make_directories(directory / "d/e//f/"));
  REQUIRE_FALSE(real->make_directories(directory / "d/e/f"));
  make("d/z");
  make("d/b");
  std::vector<std::string> names{"left over"};
  REQUIRE_FALSE(real->list(directory / "d", names));
  CHECK_EQ(names, std::vector<std::string>{"b", "e", "z"});
  CHECK_FALSE(real->sync_directory(directory / "d"));
  CHECK_EQ(real->make_directories(directory / "d/z").value(), ENOTDIR);
  CHECK_EQ(real->make_directories(directory / "d/z/y").value(), ENOTDIR);
  CHECK_EQ(real->list(directory / "none", names).value(), ENOENT);
  CHECK_EQ(real->sync_directory(directory / "none").value(), ENOENT);
  CHECK_EQ(real->sync_directory(directory / "d/z").value(), ENOTDIR);
  disk::space space;
  REQUIRE_FALSE(real->free_space(directory.path, space));
  CHECK_GT(space.total, 0);
  CHECK_LE(space.available, space.total);
  CHECK_EQ(real->free_space(directory / "none", space).value(), ENOENT);
}

TEST_CASE_FIXTURE(with_disk, "rename replaces, remove removes, and both say what is missing") {
  REQUIRE_FALSE(make("a")->write(0, {"new"}));
  make("b");
  REQUIRE_FALSE(real->rename(directory / "a", directory / "b"));
  std::vector<std::string> names;
  REQUIRE_FALSE(real->list(directory.path, names));
  CHECK_EQ(names, std::vector<std::string>{"b"});
  CHECK_EQ(read_all(*make("b")), "new");
  CHECK_EQ(real->rename(directory / "a", directory / "b").value(), ENOENT);
  CHECK_FALSE(real->remove(directory / "b"));
  CHECK_EQ(real->remove(directory / "b").value(), ENOENT);
}

TEST_CASE("a full disk says so when it is asked to allocate or to write") {
  auto real = weir::make_real_disk();
  std::unique_ptr<weir::disk_file> file;
  REQUIRE_FALSE(real->open("/dev/full", disk::open_mode::read_write, file));
  CHECK_EQ(file->write(0, {"x"}).value(), ENOSPC);
}

TEST_CASE("random numbers do not repeat, not even between threads and sources") {
  auto random = weir::make_real_random();
  std::set<std::uint64_t> seen;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      std::vector<std::uint64_t> mine(10'000);
      for (auto& x : mine)
        x = random->next();
      std::lock_guard guard(mutex);
      seen.insert(mine.begin(), mine.end());
    });
  for (auto& thread : threads)
    thread.join();
  CHECK_EQ(seen.size(), 40'000);
  CHECK_EQ(seen.count(weir::make_real_random()->next()), 0);
  for (int i = 0; i < 1000; ++i) {
    auto unit = random->unit();
    CHECK((unit >= 0 && unit < 1));
    CHECK_LT(random->below(7), 7);
  }
}

TEST_CASE("the steady clock never goes back and the wall clock is the system's") {
  auto clock = weir::make_real_clock();
  auto before = clock->steady();
  CHECK_LE(before, clock->steady());
  auto apart = clock->wall() - std::chrono::system_clock::now();
  CHECK_LT(std::chrono::abs(apart), std::chrono::minutes(1));
}

TEST_CASE("resident memory follows what the process touches") {
  auto memory = weir::make_real_memory();
  auto before = memory->resident();
  CHECK_GT(before, 100'000);
  std::vector<char> touched(64 << 20, 'x');
  CHECK_GT(memory->resident(), before + (48u << 20));
  CHECK_GT(memory->available(), memory->resident());
  CHECK_EQ(touched.back(), 'x');
}

TEST_CASE("available memory is the machine's, or less if a cgroup of any level says so") {
  temporary_directory root;
  auto available = [&] { return weir::make_real_memory(root.path)->available(); };
  put(root / "proc/self/statm", "100 25 1 1 0 1 0\n");
  put(root / "proc/meminfo", "MemTotal:       1000 kB\nMemFree:        5 kB\n");

  SUBCASE("no cgroup") {
    CHECK_EQ(available(), 1000 * 1024);
    CHECK_EQ(weir::make_real_memory(root.path)->resident(), 25 * ::sysconf(_SC_PAGESIZE));
  }
  SUBCASE("version 2, with a limit on the parent") {
    put(root / "proc/self/mountinfo", "30 23 0:26 / /cg rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    put(root / "proc/self/cgroup", "0::/system.slice/weir.service\n");
    put(root / "cg/system.slice/weir.service/memory.max", "max\n");
    CHECK_EQ(available(), 1000 * 1024);
    put(root / "cg/system.slice/memory.max", "500000\n");
    CHECK_EQ(available(), 500'000);
    put(root / "cg/system.slice/weir.service/memory.max", "400000\n");
    CHECK_EQ(available(), 400'000);
    put(root / "cg/system.slice/weir.service/memory.max", "600000\n");
    CHECK_EQ(available(), 500'000);
  }
  SUBCASE("version 1, beside other controllers") {
    put(root / "proc/self/mountinfo",
        "35 31 0:32 / /cg/cpu rw - cgroup cgroup rw,cpu\n36 31 0:33 / /cg/memory rw - cgroup cgroup rw,memory\n");
    put(root / "proc/self/cgroup", "5:cpu:/a\n4:hugetlb,memory:/a/b\n0::/\n");
    put(root / "cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK_EQ(available(), 1000 * 1024);
    put(root / "cg/memory/a/b/memory.limit_in_bytes", "300000\n");
    CHECK_EQ(available(), 300'000);
    put(root / "cg/cpu/a/memory.limit_in_bytes", "1\n");
    CHECK_EQ(available(), 300'000);
  }
  SUBCASE("a container that sees only its own part of the hierarchy") {
    put(root / "proc/self/mountinfo", "35 31 0:32 /docker/1234 /cg rw - cgroup cgroup rw,memory\n");
    put(root / "proc/self/cgroup", "4:memory:/docker/1234\n");
    put(root / "cg/memory.limit_in_bytes", "200000\n");
    CHECK_EQ(available(), 200'000);
  }
}

TEST_CASE("a machine without /proc is refused at the start") {
  temporary_directory root;
  CHECK_THROWS_AS(weir::make_real_memory(root.path), std::system_error);
}
