// What members of light jobs cost: sealing, unpacking, merging. The figures of ADR 0004.
//
//   weir_bench_tiny_members [million bytes of events]
//
// CPU time of one thread, best of three. "trained" is deflate with one Huffman code made from the
// first 256 KiB, "own" is igzip level 1, "fixed" is deflate's fixed code.

#include <isa-l/igzip_lib.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/event_scanner.hpp"
#include "actors/object_assembly.hpp"
#include "drills/generate_events.hpp"

namespace {

using namespace weir;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double best_of_three(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = cpu_seconds();
    work();
    best = std::min(best, cpu_seconds() - start);
  }
  return best;
}

struct run_of_events {
  sequence first = 0;
  std::uint64_t count = 0;
  std::string_view raw;
};

std::vector<run_of_events> cut_into_runs(std::string_view text, std::size_t bytes) {
  std::vector<run_of_events> runs;
  sequence next = 1;
  for (std::size_t at = 0; at < text.size();) {
    run_of_events run{next, 0, {}};
    std::size_t end = at;
    while (end < text.size() && end - at < bytes) {
      end = text.find('\n', end) + 1;
      ++run.count;
    }
    run.raw = text.substr(at, end - at);
    next += run.count;
    at = end;
    runs.push_back(run);
  }
  return runs;
}

enum class code { fixed, trained, own };

struct packer {
  isal_hufftables trained;
  isal_zstream stream;
  std::vector<std::uint8_t> level_buffer = std::vector<std::uint8_t>(ISAL_DEF_LVL1_DEFAULT);
  std::vector<std::uint8_t> out = std::vector<std::uint8_t>(64 << 10);

  explicit packer(const std::vector<run_of_events>& runs) {
    static isal_huff_histogram histogram;
    std::memset(&histogram, 0, sizeof histogram);
    std::size_t seen = 0;
    for (std::size_t i = 0; i < runs.size() && seen < 256 << 10; ++i) {
      isal_update_histogram(reinterpret_cast<std::uint8_t*>(const_cast<char*>(runs[i].raw.data())),
                            static_cast<int>(runs[i].raw.size()), &histogram);
      seen += runs[i].raw.size();
    }
    if (isal_create_hufftables(&trained, &histogram) != 0)
      std::abort();
  }

  std::string pack(std::string_view raw, code with) {
    isal_deflate_stateless_init(&stream);
    stream.gzip_flag = IGZIP_GZIP;
    stream.end_of_stream = 1;
    stream.flush = NO_FLUSH;
    stream.level = with == code::own;
    stream.level_buf = level_buffer.data();
    stream.level_buf_size = static_cast<std::uint32_t>(level_buffer.size());
    if (with == code::trained)
      stream.hufftables = &trained;
    if (with == code::fixed)
      isal_deflate_set_hufftables(&stream, nullptr, IGZIP_HUFFTABLE_STATIC);
    stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(raw.data()));
    stream.avail_in = static_cast<std::uint32_t>(raw.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<std::uint32_t>(out.size());
    if (isal_deflate_stateless(&stream) != COMP_OK)
      std::abort();
    return {reinterpret_cast<const char*>(out.data()), stream.total_out};
  }
};

double unpack_with_isal(const std::vector<std::string>& members) {
  static inflate_state state;
  std::vector<std::uint8_t> out(64 << 10);
  return best_of_three([&] {
    for (const auto& member : members) {
      isal_inflate_init(&state);
      state.crc_flag = ISAL_GZIP;
      state.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(member.data()));
      state.avail_in = static_cast<std::uint32_t>(member.size());
      state.next_out = out.data();
      state.avail_out = static_cast<std::uint32_t>(out.size());
      if (isal_inflate(&state) != ISAL_DECOMP_OK)
        std::abort();
    }
  });
}

double unpack_with_zlib(const std::vector<std::string>& members) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  std::vector<Bytef> out(64 << 10);
  const auto seconds = best_of_three([&] {
    for (const auto& member : members) {
      inflateReset(&stream);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(member.data()));
      stream.avail_in = static_cast<uInt>(member.size());
      stream.next_out = out.data();
      stream.avail_out = static_cast<uInt>(out.size());
      if (inflate(&stream, Z_FINISH) != Z_STREAM_END)
        std::abort();
    }
  });
  inflateEnd(&stream);
  return seconds;
}

void compare_codes(const std::vector<run_of_events>& runs, std::size_t raw_bytes) {
  packer pack{runs};
  const auto each = [&](double seconds) { return seconds / static_cast<double>(runs.size()) * 1e6; };
  for (const auto with : {code::fixed, code::trained, code::own}) {
    std::vector<std::string> members;
    const auto seal = best_of_three([&] {
      members.clear();
      for (const auto& run : runs)
        members.push_back(pack.pack(run.raw, with));
    });
    std::size_t bytes = 0;
    for (const auto& member : members)
      bytes += member.size();
    std::printf("  %-8s %6zu B  ratio %.2f  seal %6.2f us  unpack: isal %6.2f us, zlib %6.2f us\n",
                with == code::fixed     ? "fixed"
                : with == code::trained ? "trained"
                                        : "own",
                bytes / runs.size(), static_cast<double>(raw_bytes) / static_cast<double>(bytes), each(seal),
                each(unpack_with_isal(members)), each(unpack_with_zlib(members)));
  }
}

void merge(const std::vector<run_of_events>& runs, std::size_t raw_bytes) {
  assembly_tools tools;
  store::member_sealer sealer;
  const sequence_range cut{generation{1}, 1, runs.back().first + runs.back().count - 1};
  std::vector<std::string> members;
  for (const auto& run : runs)
    members.push_back(sealer.seal_run({job_id{1}, {generation{1}, run.first, run.count}}, run.raw));
  for (const std::size_t merge_below : {object_assembly::untouched_raw_bytes, std::size_t{0}}) {
    std::size_t bytes = 0;
    const auto seconds = best_of_three([&] {
      bytes = 0;
      object_assembly object{job_id{1}, cut, merge_below};
      const auto drain = [&] {
        for (auto window = object.pull(); !window.empty(); window = object.pull())
          bytes += window.size();
      };
      for (std::size_t i = 0; i < runs.size(); ++i) {
        const auto& run = runs[i];
        if (object.push(tools, {generation{1}, run.first, run.count}, static_cast<std::uint32_t>(run.raw.size()),
                        members[i])
            != assembly_result::ok)
          std::abort();
        drain();
      }
      object.finish(tools);
      drain();
    });
    std::printf("  %-8s object ratio %.2f  %6.2f us a member, %7.0f members/s, %.2f s/M events\n",
                merge_below ? "merged" : "as is", static_cast<double>(raw_bytes) / static_cast<double>(bytes),
                seconds / static_cast<double>(runs.size()) * 1e6, static_cast<double>(runs.size()) / seconds,
                seconds / static_cast<double>(cut.count) * 1e6);
  }
}

void scan(std::string text) {
  const auto size = text.size();
  text.append(64, ' ');
  const std::string_view body{text.data(), size};
  event_scanner scanner;
  std::vector<scanned_event> events;
  std::uint64_t count = 0;
  const auto seconds = best_of_three([&] {
    scanner.open(body, "ZoneID");
    while (scanner.next(events))
      events.clear();
    count = scanner.report().events;
  });
  std::printf("scanning every event completely: %.2f M events/s, %.3f s/M events\n",
              static_cast<double>(count) / seconds / 1e6, seconds / static_cast<double>(count) * 1e6);
}

} // namespace

int main(int argc, char** argv) {
  const std::size_t wanted = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 16) * 1'000'000;
  const generate::event_generator generator{{1, 1, 0}};
  std::string text;
  for (std::uint64_t counter = 0; text.size() < wanted; ++counter)
    generator.append(counter, text);
  for (const std::size_t bytes : {1u, 700u, 2'800u, 5'600u, 11'000u}) {
    const auto runs = cut_into_runs(text, bytes);
    std::printf("members of %zu bytes, %.1f events\n", text.size() / runs.size(),
                static_cast<double>(runs.back().first + runs.back().count - 1) / static_cast<double>(runs.size()));
    compare_codes(runs, text.size());
    merge(runs, text.size());
  }
  scan(text);
}
