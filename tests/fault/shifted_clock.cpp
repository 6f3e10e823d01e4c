// A library for LD_PRELOAD that moves the wall clock of one program, and leaves the monotonic ones alone: the file
// that `WEIR_SHIFTED_CLOCK` names holds the shift in seconds as 8 bytes, and counts from the moment it changes.
// (libfaketime cannot be loaded beside jemalloc, whose start-up asks for the time within its own.)

#include <cstdint>
#include <cstdlib>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace {

const volatile std::int64_t* shift = nullptr;

__attribute__((constructor)) void open_shift() {
  const auto* path = std::getenv("WEIR_SHIFTED_CLOCK");
  const auto handle = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  if (handle < 0)
    return;
  auto* place = ::mmap(nullptr, sizeof *shift, PROT_READ, MAP_SHARED, handle, 0);
  ::close(handle);
  if (place != MAP_FAILED)
    shift = static_cast<const volatile std::int64_t*>(place);
}

} // namespace

extern "C" int clock_gettime(clockid_t which, timespec* now) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, which, now));
  if (result == 0 && shift != nullptr && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
    now->tv_sec += *shift;
  return result;
}

extern "C" int gettimeofday(timeval* now, void*) noexcept {
  timespec exact{};
  const auto result = clock_gettime(CLOCK_REALTIME, &exact);
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return result;
}

extern "C" time_t time(time_t* now) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != nullptr)
    *now = exact.tv_sec;
  return exact.tv_sec;
}
