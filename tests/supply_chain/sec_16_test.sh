#!/usr/bin/env bash
# SEC-16: a tampered dependency, one from another place and an unlisted one are each found by name.
# Works on a made-up package in a temporary folder; needs no root and changes nothing on the machine.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
for piece in say packages build check supply_chain; do
  # shellcheck source=/dev/null
  source "$root/scripts/dev.d/$piece.sh"
done
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

expect() { # DESCRIPTION PATTERN TEXT
  if [[ $3 =~ $2 ]]; then
    printf 'ok: %s\n' "$1"
  else
    printf 'FAILED: %s\nexpected something like: %s\ngot: %s\n' "$1" "$2" "$3"
    exit 1
  fi
}

# A package that brought one header, as dpkg records it.
header="$place/usr/include/pinned.h"
mkdir -p "$place/info" "${header%/*}"
printf 'int pinned();\n' >"$header"
was=$(md5sum <"$header" | cut -d' ' -f1)
printf '%s  %s\n' "$was" "${header#/}" >"$place/info/pinned-dev:amd64.md5sums"
printf 'pinned-dev\n' >"$place/allowed"

expect "a dependency as its package brought it passes" '^$' "$(offences_changed "$place/info" <<<"$header")"
expect "a listed dependency passes" '^$' "$(offences_unlisted "$place/allowed" "$place/info" <<<"$header")"

printf 'int pinneD();\n' >"$header"
now=$(md5sum <"$header" | cut -d' ' -f1)
expect "one changed byte is named with both hashes" "$header: changed since pinned-dev .*$now.*$was" \
  "$(offences_changed "$place/info" <<<"$header")"

printf 'another\n' >"$place/allowed"
expect "an unlisted dependency is named" "$header: comes from pinned-dev, which is not in scripts/packages.txt" \
  "$(offences_unlisted "$place/allowed" "$place/info" <<<"$header")"
expect "a file of no package is named" '/usr/local/include/stray.h: belongs to no Debian package' \
  "$(offences_unlisted "$place/allowed" "$place/info" <<<"/usr/local/include/stray.h")"

# An archive at another address, which nobody signed. The options are those of scripts/dev, run without root.
mkdir -p "$place"/archive "$place"/apt/{lists/partial,cache/archives/partial,etc}
printf 'Package: pinned-dev\nVersion: 2\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nFilename: ./x.deb\nSize: 1\nSHA256: %064d\nDescription: from elsewhere\n' 0 \
  >"$place/archive/Packages"
printf 'deb file:%s/archive ./\n' "$place" >"$place/apt/etc/sources.list"
as_root() { "$@"; }
answer=$(apt_get -o Dir::State="$place/apt" -o Dir::State::lists="$place/apt/lists" -o Dir::Cache="$place/apt/cache" \
  -o Dir::Etc::sourcelist="$place/apt/etc/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User="$(id -un)" \
  update 2>&1) && answer+=' (apt-get update succeeded)'
expect "packages from an address that is not signed are refused" 'is not signed|does not have a Release file' "$answer"
[[ $answer != *succeeded* ]] || { printf 'FAILED: apt-get took an unsigned archive\n%s\n' "$answer"; exit 1; }
