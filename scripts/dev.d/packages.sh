# shellcheck shell=bash
# Debian packages: which are needed, which are missing, how they come.

# The names in scripts/packages.txt; comments go from # to the end of the line.
listed_packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$root/scripts/packages.txt"; }

# Those of "$@" that are not installed.
missing_packages() {
  local name state
  for name in "$@"; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) || state=absent
    [ "$state" = installed ] || printf '%s\n' "$name"
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "installing packages needs root, and there is no sudo. Run as root: $*"
  fi
}

# Signed archives only: neither --allow-unauthenticated nor --force-yes belongs here (tests/supply_chain).
apt_get() {
  # RUNLEVEL=1 keeps a package from starting a daemon, which a chroot or container could not host.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 LC_ALL=C.UTF-8 \
    apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@" </dev/null >&2
}

# Can apt install all of "$@" from the lists it has?
apt_knows() { apt-get -qq --simulate --no-install-recommends install "$@" >/dev/null 2>&1; }

# Installs "$@" as far as missing, and says so.
install_packages() {
  local missing
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null \
    || fail "no dpkg and apt-get here: Weir is built on Debian 12, with the packages of scripts/packages.txt"
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  apt_knows "${missing[@]}" || apt_get update
  if ! apt_get install --yes --no-install-recommends "${missing[@]}"; then
    # Lists that are older than the archive name files that are gone.
    say "apt-get install failed; once more with fresh package lists"
    apt_get update
    apt_get install --yes --no-install-recommends "${missing[@]}" \
      || fail "could not install: ${missing[*]}"
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -eq 0 ] || fail "still not installed after apt-get: ${missing[*]}"
}

install_listed_packages() {
  local names
  mapfile -t names < <(listed_packages)
  install_packages "${names[@]}"
}
