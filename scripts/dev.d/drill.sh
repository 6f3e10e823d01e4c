# shellcheck shell=bash
# `drill NAME`: builds what ships, and runs one of its drills on this machine.

run_drill() {
  [ $# -ge 1 ] || fail_usage "which drill? nov14"
  local name=$1
  shift
  install_listed_packages
  build release weir
  # One drill at a time: two would measure each other. The lock ends with this shell.
  exec 8>"$root/build/.drill.lock"
  flock -n 8 || fail "another drill is running in this checkout"
  headline "drill $name"
  "$root/build/release/weir" drill "$name" --report "$root/build/drill" "$@" 8>&-
}
