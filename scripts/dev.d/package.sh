# shellcheck shell=bash
# `package`: the Debian package of what is in this checkout.

run_package() {
  local file
  [ $# -eq 0 ] || fail_usage "package takes no arguments"
  install_listed_packages
  build release weir
  # Also proves that nothing unlisted or altered went into the binary.
  write_sbom >/dev/null
  mkdir -p "$root/build/package"
  rm -f "$root"/build/package/weir_*.deb
  locked sh -c 'cd "$1" && cpack -G DEB' sh "$root/build/release" >"$root/build/package/cpack.log" 2>&1 || {
    cat "$root/build/package/cpack.log" >&2
    fail "cpack failed"
  }
  file=$(find "$root/build/package" -maxdepth 1 -name 'weir_*.deb')
  [ -n "$file" ] || fail "cpack wrote no package; see build/package/cpack.log"
  dpkg-deb --info "$file" >&2
  dpkg-deb --contents "$file" >&2
  printf '%s\n' "$file"
}
