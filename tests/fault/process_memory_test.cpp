#include <unistd.h>

#include <doctest/doctest.h>

#include "tests/kill/restarts.hpp"
#include "tests/support/control_group.hpp"
#include "tests/support/raw_client.hpp"

using namespace std::chrono_literals;

namespace {

/// Makes the node take memory: bodies of spaces that nobody finishes. Until it is killed, or for 20 s.
bool killed_for_memory(weir::running_node& node) {
  const std::string piece(1 << 20, ' ');
  return weir::wait_for(
      [&] {
        weir::raw_client client(node.ingest_port());
        client.send("POST /v1/ingest/http_requests HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer " + node.token()
                    + "\r\nContent-Length: 16777216\r\n\r\n");
        for (int i = 0; i < 15 && client.send(piece); ++i)
          continue;
        return !node.running();
      },
      20s);
}

} // namespace

TEST_CASE(
    "PRC-06: a node that the kernel kills for memory, idle and at work, is back within 5 s and has lost nothing") {
  const auto why = weir::control_group::missing("memory");
  if (why) {
    MESSAGE("skipped: no control group for memory here: " << *why);
    return;
  }
  weir::restarts it(weir::plan_of_small_segments(), 61);
  weir::control_group group("memory");
  // What a process has taken counts where it took it: the node begins in the group.
  const auto start = [&] {
    group.take(::getpid());
    it.start();
    group.release(::getpid());
  };
  start();
  unsigned killed = 0;
  for (int round = 0; round < 10; ++round) {
    CAPTURE(round);
    if (round == 1)
      it.send();
    if (round >= 1)
      REQUIRE(it.let_pass(20));
    // Next to nothing more than it has now.
    const auto limit = group.number("memory.usage_in_bytes") / 4096 * 4096;
    REQUIRE(group.set("memory.limit_in_bytes", std::to_string(limit)));
    const auto ended = killed_for_memory(it.node);
    INFO(it.node.log());
    REQUIRE(ended);
    CHECK_EQ(it.node.wait(1s).value_or(0), 128 + SIGKILL);
    ++killed;
    REQUIRE(group.set("memory.limit_in_bytes", "-1"));
    start();
  }
  std::printf("killed %u times for want of memory; the longest start took %lld ms\n", killed,
              static_cast<long long>(it.longest_start.count()));
  CHECK_GE(group.number("memory.oom_control", "oom_kill"), killed);
  CHECK_LE(it.longest_start.count(), 5'000);
  it.finish();
}
