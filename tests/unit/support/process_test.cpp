#include "tests/support/process.hpp"

#include <atomic>
#include <filesystem>
#include <ostream>
#include <system_error>

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/raw_client.hpp"
#include "tests/support/sink_server.hpp"

using namespace std::chrono_literals;
using weir::process;

TEST_CASE("a program gets its arguments, environment, input and directory, and leaves output and code") {
  weir::temporary_directory directory;
  weir::write_file(directory / "in", "input");
  weir::command what{"/bin/sh", {"-c", "cat; echo \" $1 $WEIR_X $(pwd)\"; echo oops >&2; exit 7", "sh", "a b"}};
  what.environment = {{"WEIR_X", "y"}};
  what.input_file = directory / "in";
  what.output_file = directory / "out";
  what.error_file = directory / "err";
  what.directory = directory.path();
  CHECK_EQ(weir::run_program(what), 7);
  CHECK_EQ(weir::read_file(directory / "out"),
           "input a b y " + std::filesystem::canonical(directory.path()).string() + "\n");
  CHECK_EQ(weir::read_file(directory / "err"), "oops\n");
}

TEST_CASE("a program can be stopped politely or killed, and says which it was") {
  weir::temporary_directory directory;
  auto script = "trap 'exit 3' TERM; : > \"$1\"; while :; do sleep 0.01; done";
  for (auto politely : {true, false}) {
    auto ready = directory / (politely ? "a" : "b");
    process running({"/bin/sh", {"-c", script, "sh", ready}});
    REQUIRE(weir::wait_for([&] { return std::filesystem::exists(ready); }));
    CHECK(running.running());
    CHECK_FALSE(running.wait(0ms));
    CHECK_GT(weir::usage_of(running.id()).resident, 0);
    CHECK_GE(weir::usage_of(running.id()).open_files, 3);
    if (politely)
      running.terminate();
    else
      running.kill();
    CHECK_EQ(running.wait(), politely ? 3 : 128 + SIGKILL);
    CHECK_FALSE(running.running());
  }
}

TEST_CASE("a program that does not exist is said at once") {
  CHECK_THROWS_AS(process({"/no/such/program", {}}), std::system_error);
  CHECK_THROWS_AS(process({"/bin/true", {}, {}, "", "/no/such/directory/out"}), std::system_error);
}

TEST_CASE("a program dies with its owner") {
  pid_t id = 0;
  {
    process running({"sleep", {"1000"}});
    id = running.id();
    process moved(std::move(running));
    CHECK(moved.running());
  }
  CHECK_EQ(::kill(id, 0), -1);
}

TEST_CASE("waiting ends when the condition holds, or is over") {
  std::atomic<int> asked{0};
  CHECK(weir::wait_for([&] { return ++asked == 3; }));
  CHECK_FALSE(weir::wait_for([] { return false; }, 10ms));
}

TEST_CASE("a free port can be listened on, and is not given twice") {
  auto a = weir::free_port(), b = weir::free_port();
  CHECK_NE(a, b);
  CHECK_FALSE(weir::raw_client(a).connected());
  weir::sink_server::settings how;
  how.port = a;
  weir::sink_server sink(how);
  CHECK(weir::raw_client(a).connected());
}
