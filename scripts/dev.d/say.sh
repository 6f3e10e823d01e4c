# shellcheck shell=bash
# How the commands speak: progress and errors to stderr, results to stdout.

say() { printf '%s\n' "$*" >&2; }
headline() { printf '\n== %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# Ends with 1: it was tried and failed.
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Ends with 2: it was asked for wrongly.
fail_usage() {
  printf 'error: %s; see scripts/dev help\n' "$*" >&2
  exit 2
}

# 125 -> 2:05
minutes() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
