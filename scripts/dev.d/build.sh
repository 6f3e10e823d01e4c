# shellcheck shell=bash
# Configure and build. One build at a time per checkout: a second run waits for the first.

# A compiler of CAF's templates takes up to 1 GiB, so memory bounds the jobs as well as cores do.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
  [ "${memory:-1}" -ge 1 ] || memory=1
  printf '%s' "${JOBS:-$((cores < memory ? cores : memory))}"
}

# The lock is not inherited (-o): what a build starts cannot hold it for longer than the build.
locked() {
  mkdir -p "$root/build"
  if ! flock -n -o -E 75 "$root/build/.lock" true; then
    say "another run is building in this checkout; waiting for it"
  fi
  flock -o "$root/build/.lock" "$@"
}

# configure PRESET: quick when nothing changed. The log is shown only if it fails.
configure() {
  local preset=$1 log="$root/build/$1.configure.log"
  [ -f "$root/build/$preset/build.ninja" ] && return 0
  mkdir -p "$root/build"
  locked cmake --preset "$preset" >"$log" 2>&1 || {
    cat "$log" >&2
    fail "cannot configure the preset '$preset'"
  }
}

# build PRESET TARGET...
build() {
  local preset=$1
  shift
  configure "$preset"
  locked cmake --build --preset "$preset" --parallel "$(build_jobs)" --target "$@" -- -k 0 >&2
}

has_target() { (cd "$root/build/$1" && ninja -t query "$2" >/dev/null 2>&1); }

run_build() {
  local preset=${PRESET:-release}
  install_listed_packages
  [ $# -gt 0 ] || set -- weir
  build "$preset" "$@"
  [ "$*" != weir ] || say "built $root/build/$preset/weir"
}
