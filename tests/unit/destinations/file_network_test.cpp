#include "actors/destinations/file_network.hpp"

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>

#include <doctest/doctest.h>

#include "actors/destinations/routing_network.hpp"
#include "apps/real/real_environment.hpp"
#include "collecting_listener.hpp"
#include "store/gzip_member.hpp"
#include "tests/support/fake_disk.hpp"

using namespace weir;
using namespace weir::testing;
using namespace std::chrono_literals;

namespace {

struct file_world {
  explicit file_world(std::shared_ptr<weir::disk> where, file_settings settings = {}) : disk(std::move(where)) {
    net = make_file_network(std::move(settings), disk, counters);
    listener = std::make_shared<collecting_listener>(*net);
  }

  static upload_order to(const std::string& path) {
    upload_order order;
    order.url = "file://" + path;
    order.identity = "7/8/1-100";
    order.whole_timeout = 20s;
    return order;
  }

  upload_outcome push(const std::string& path, const std::string& body = "hello", std::size_t window = 256 << 10) {
    return push(to(path), body, window);
  }

  upload_outcome push(upload_order order, const std::string& body = "hello", std::size_t window = 256 << 10) {
    const auto id = ++last_id;
    listener->push(id, std::move(order), body, window);
    return listener->wait(id);
  }

  std::shared_ptr<weir::disk> disk;
  std::shared_ptr<network_counters> counters = std::make_shared<network_counters>();
  std::shared_ptr<network> net;
  std::shared_ptr<collecting_listener> listener;
  std::uint64_t last_id = 0;
};

std::vector<std::string> names_in(disk& where, const std::string& directory) {
  std::vector<std::string> names;
  where.list(directory, names);
  return names;
}

class temporary_directory {
 public:
  temporary_directory() { REQUIRE(mkdtemp(path_) != nullptr); }
  ~temporary_directory() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/weir-files-XXXXXX";
};

std::string sealed(job_id job, const std::vector<sequence_range>& ranges) {
  store::member_sealer sealer;
  std::string object;
  for (const auto& range : ranges) {
    std::string events;
    for (std::uint64_t i = 0; i < range.count; ++i)
      events += "{\"n\":" + std::to_string(range.first + i) + "}\n";
    object += sealer.seal_run({job, range}, events);
  }
  return object;
}

} // namespace

TEST_CASE("an object is a file with exactly its bytes, and nothing else is left in the directory") {
  const temporary_directory where;
  file_world world(make_real_disk());
  std::string body(1'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i)
    body[i] = static_cast<char>(i * 7 >> 3);
  auto order = file_world::to(where.path() + "/zone one/20241114/object.log.gz");
  SUBCASE("when its length is known") {
    order.length = body.size();
  }
  SUBCASE("when it is not") {}
  const auto outcome = world.push(order, body, 100'000);
  CHECK_EQ(outcome.result, upload_result::stored);
  CHECK(outcome.error.empty());
  std::ifstream in(where.path() + "/zone one/20241114/object.log.gz", std::ios::binary);
  CHECK(std::string{std::istreambuf_iterator<char>{in}, {}} == body);
  CHECK_EQ(names_in(*world.disk, where.path() + "/zone one/20241114"), std::vector<std::string>{"object.log.gz"});
  CHECK_EQ(world.counters->bytes, body.size());
}

TEST_CASE("an empty object is a file as well") {
  const temporary_directory where;
  file_world world(make_real_disk());
  CHECK_EQ(world.push(where.path() + "/empty", "").result, upload_result::stored);
  CHECK_EQ(std::filesystem::file_size(where.path() + "/empty"), 0);
}

TEST_CASE("a stored object survives a power cut at any later moment, directories included") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    auto disk = std::make_shared<fake_disk>(seed);
    file_world world(disk);
    for (int i = 0; i < 5; ++i)
      REQUIRE_EQ(world.push("/out/a/b/" + std::to_string(i), std::string(10'000, 'x')).result, upload_result::stored);
    const auto image = disk->image_after_crash(seed);
    for (int i = 0; i < 5; ++i)
      CHECK_EQ(image->contents("/out/a/b/" + std::to_string(i)).value_or(""), std::string(10'000, 'x'));
  }
}

TEST_CASE("PRC-04: power may fail at any step: no half object is ever visible, and the repeat completes it") {
  const std::string body(20'000, 'y');
  std::uint64_t steps = 0;
  {
    auto disk = std::make_shared<fake_disk>(1);
    file_world world(disk);
    const auto before = disk->changes();
    REQUIRE_EQ(world.push("/out/dir/object", body, 6'000).result, upload_result::stored);
    steps = disk->changes() - before;
  }
  REQUIRE(steps >= 6);
  for (std::uint64_t step = 1; step <= steps; ++step) {
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      CAPTURE(step);
      CAPTURE(seed);
      auto disk = std::make_shared<fake_disk>(seed);
      disk->crash_at(step);
      {
        file_world world(disk);
        const auto outcome = world.push("/out/dir/object", body, 6'000);
        CHECK(outcome.result != upload_result::stored);
      }
      disk->crash(seed);
      const auto found = disk->contents("/out/dir/object");
      CHECK((!found || *found == body));
      file_world again(disk);
      const auto outcome = again.push("/out/dir/object", body, 6'000);
      CHECK_EQ(outcome.result, found ? upload_result::exists : upload_result::stored);
      CHECK_EQ(names_in(*disk, "/out/dir"), std::vector<std::string>{"object"});
      CHECK_EQ(disk->image_after_crash(seed)->contents("/out/dir/object").value_or(""), body);
    }
  }
}

TEST_CASE("PRC-05: a name that is taken is not overwritten, and what it holds is told by its members") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  const auto object = sealed(job_id{7}, {{generation{8}, 1, 40}, {generation{8}, 41, 60}});
  REQUIRE_EQ(world.push("/out/object", object).result, upload_result::stored);
  const auto outcome = world.push("/out/object", "something else");
  CHECK_EQ(outcome.result, upload_result::exists);
  CHECK_EQ(outcome.existing_identity, "7/8/1-100");
  CHECK_EQ(disk->contents("/out/object").value_or(""), object);
  CHECK_EQ(names_in(*disk, "/out"), std::vector<std::string>{"object"});
}

TEST_CASE("the identity of an object that is damaged, foreign or not one run cannot be told") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  const auto good = sealed(job_id{7}, {{generation{8}, 1, 40}});
  int n = 0;
  for (const auto& body :
       {std::string{}, std::string{"plain text"}, good.substr(0, good.size() - 1), good + "x",
        good + sealed(job_id{7}, {{generation{8}, 50, 3}}), good + sealed(job_id{6}, {{generation{8}, 41, 3}}),
        good + sealed(job_id{7}, {{generation{9}, 41, 3}})}) {
    CAPTURE(n);
    const auto path = "/out/" + std::to_string(n++);
    REQUIRE_EQ(world.push(path, body).result, upload_result::stored);
    const auto outcome = world.push(path, "other");
    CHECK_EQ(outcome.result, upload_result::exists);
    CHECK(outcome.existing_identity.empty());
  }
}

TEST_CASE("files that are ready together share the syncs of their directory") {
  auto disk = std::make_shared<fake_disk>(1);
  // The first directory sync waits until all other files have been renamed.
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t renamed = 0;
  disk->set_hook([&](disk_operation what, const std::string&) {
    std::unique_lock<std::mutex> hold(mutex);
    if (what == disk_operation::rename) {
      ++renamed;
      changed.notify_all();
    }
    if (what == disk_operation::sync_directory)
      REQUIRE(changed.wait_for(hold, 20s, [&] { return renamed == 100; }));
  });
  file_world world(disk);
  for (std::uint64_t i = 1; i <= 100; ++i)
    world.listener->push(i, file_world::to("/out/" + std::to_string(i)), "x");
  for (std::uint64_t i = 1; i <= 100; ++i)
    CHECK_EQ(world.listener->wait(i).result, upload_result::stored);
  // The first group, and what each of the four threads had renamed but not yet put into one.
  CHECK(disk->count(disk_operation::sync_directory) <= 5);
  CHECK_EQ(world.counters->directory_syncs, disk->count(disk_operation::sync_directory));
  disk->set_hook({});
}

TEST_CASE("a full disk fails the upload, leaves nothing behind, and the repeat goes through when there is room") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  REQUIRE_EQ(world.push("/out/first").result, upload_result::stored);
  disk->set_capacity(64 << 10);
  const std::string body(200'000, 'x');
  const auto outcome = world.push("/out/second", body, 10'000);
  CHECK_EQ(outcome.result, upload_result::failed);
  CHECK(outcome.error.find("No space left") != std::string::npos);
  CHECK_EQ(names_in(*disk, "/out"), std::vector<std::string>{"first"});
  disk->set_capacity(1 << 20);
  CHECK_EQ(world.push("/out/second", body, 10'000).result, upload_result::stored);
}

TEST_CASE("whatever operation fails, the object is not claimed, and lasting conditions are told apart") {
  struct trouble {
    disk_operation kind;
    int error;
    upload_result result;
  };
  for (const auto& x : {trouble{disk_operation::open, EACCES, upload_result::refused},
                        trouble{disk_operation::open, EMFILE, upload_result::failed},
                        trouble{disk_operation::open, ENOTDIR, upload_result::refused},
                        trouble{disk_operation::make_directories, EACCES, upload_result::refused},
                        trouble{disk_operation::make_directories, EROFS, upload_result::failed},
                        trouble{disk_operation::truncate, EIO, upload_result::failed},
                        trouble{disk_operation::write, EIO, upload_result::failed},
                        trouble{disk_operation::sync, EIO, upload_result::failed},
                        trouble{disk_operation::rename, EPERM, upload_result::refused},
                        trouble{disk_operation::sync_directory, EIO, upload_result::failed}}) {
    CAPTURE(static_cast<int>(x.kind));
    CAPTURE(x.error);
    auto disk = std::make_shared<fake_disk>(1);
    file_world world(disk);
    disk_fault fault;
    fault.kind = x.kind;
    fault.error = x.error;
    disk->inject(fault);
    const auto outcome = world.push("/out/object");
    CHECK_EQ(disk->faults_struck(), 1);
    CHECK_EQ(outcome.result, x.result);
    CHECK(outcome.error.find("/out") != std::string::npos);
    const auto names = names_in(*disk, "/out");
    CHECK(std::none_of(names.begin(), names.end(), [](auto& name) { return name.front() == '.'; }));
    const auto repeat = world.push("/out/object");
    CHECK((repeat.result == upload_result::stored || repeat.result == upload_result::exists));
    CHECK_EQ(disk->image_after_crash(3)->contents("/out/object").value_or(""), "hello");
  }
}

TEST_CASE("nothing is written outside the roots, nor under a closed one") {
  auto disk = std::make_shared<fake_disk>(1);
  file_settings settings;
  settings.roots = {"/out", "/srv/logs"};
  settings.closed_roots = {"/out/node"};
  file_world world(disk, settings);
  CHECK_EQ(world.push("/out/object").result, upload_result::stored);
  CHECK_EQ(world.push("/srv/logs/a/object").result, upload_result::stored);
  for (const auto* path :
       {"/object", "/outer/object", "/out/../etc/object", "/out/./object", "/out//object", "/out/", "/out/node/object",
        "/out/node/deep/object", "/srv/object", "out/object", "", "/", "/out/..", "//out/object"}) {
    CAPTURE(path);
    const auto outcome = world.push(path);
    CHECK_EQ(outcome.result, upload_result::refused);
    CHECK_FALSE(outcome.error.empty());
  }
  CHECK_EQ(world.push(std::string("/out/a\0b", 8)).result, upload_result::refused);
  CHECK_EQ(world.push("/out/" + std::string(5'000, 'x')).result, upload_result::refused);
  CHECK_EQ(world.counters->egress_blocked, 16);
  CHECK_EQ(names_in(*disk, "/out"), std::vector<std::string>{"object"});
}

TEST_CASE("a cancelled upload leaves nothing behind and ends once") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  world.listener->starve(1);
  world.net->start(1, file_world::to("/out/object"), world.listener);
  world.listener->wait_for_window(1);
  CHECK_EQ(names_in(*disk, "/out"), std::vector<std::string>{".object.part"});
  world.net->cancel(1);
  CHECK_EQ(world.listener->wait(1).error, "cancelled");
  CHECK(names_in(*disk, "/out").empty());
  world.net->supply(1, "late", true);
  world.net->cancel(1);
  world.last_id = 1;
  CHECK_EQ(world.push("/out/object").result, upload_result::stored);
}

TEST_CASE("an upload whose windows do not come ends after its whole time") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  auto order = file_world::to("/out/object");
  order.whole_timeout = 200ms;
  world.listener->starve(1);
  world.net->start(1, order, world.listener);
  CHECK_EQ(world.listener->wait(1).error, "not finished within its time");
  CHECK(names_in(*disk, "/out").empty());
}

TEST_CASE("more or fewer bytes than announced fail the upload") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  auto order = file_world::to("/out/object");
  order.length = 10;
  CHECK_EQ(world.push(order, "short").result, upload_result::failed);
  CHECK_EQ(world.push(order, "much too long").result, upload_result::failed);
  CHECK(names_in(*disk, "/out").empty());
  CHECK_EQ(world.push(order, "just right").result, upload_result::stored);
}

TEST_CASE("what is running when the network ends is told so, and its file is removed") {
  auto disk = std::make_shared<fake_disk>(1);
  file_world world(disk);
  world.listener->starve(1);
  world.net->start(1, file_world::to("/out/object"), world.listener);
  world.listener->wait_for_window(1);
  world.net.reset();
  CHECK_EQ(world.listener->wait(1).error, "this node shuts down");
  CHECK(names_in(*disk, "/out").empty());
}

TEST_CASE("one network takes all kinds of destinations, and refuses those it does not know") {
  auto disk = std::make_shared<fake_disk>(1);
  auto net = make_network({}, disk, std::make_shared<network_counters>());
  auto listener = std::make_shared<collecting_listener>(*net);
  for (std::uint64_t i = 1; i <= 50; ++i)
    listener->push(i, file_world::to("/out/" + std::to_string(i)), std::string(600'000, 'x'));
  upload_order order;
  order.url = "gopher://localhost/";
  listener->push(100, order, "x");
  order.url = "https://127.0.0.1:1/";
  listener->push(101, order, "x");
  for (std::uint64_t i = 1; i <= 50; ++i)
    CHECK_EQ(listener->wait(i).result, upload_result::stored);
  CHECK_EQ(listener->wait(100).result, upload_result::refused);
  CHECK_EQ(listener->wait(101).result, upload_result::refused);
  listener->starve(7);
  net->start(7, file_world::to("/out/again"), listener);
  listener->wait_for_window(7);
  net->cancel(7);
}

TEST_CASE("many small objects share directory syncs; how many a second this machine's disk takes is printed") {
  const temporary_directory where;
  for (const std::uint32_t threads : {1u, 4u}) {
    file_settings settings;
    settings.threads = threads;
    file_world world(make_real_disk(), settings);
    constexpr std::uint64_t objects = 500;
    const auto began = std::chrono::steady_clock::now();
    for (std::uint64_t i = 1; i <= objects; ++i)
      world.listener->push(i, file_world::to(where.path() + "/" + std::to_string(threads) + "/" + std::to_string(i)),
                           std::string(4'000, 'x'));
    for (std::uint64_t i = 1; i <= objects; ++i)
      CHECK_EQ(world.listener->wait(i).result, upload_result::stored);
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    MESSAGE(threads << " threads: " << objects / took << " objects/s, " << world.counters->directory_syncs.load()
                    << " directory syncs for " << objects << " objects");
    // One thread syncs the files of 10 ms together, several do better: never one sync a file.
    if (threads > 1)
      CHECK(world.counters->directory_syncs <= objects / 2);
  }
}
