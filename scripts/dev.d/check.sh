# shellcheck shell=bash
# `check`, `format` and `tidy`: what can be said about the sources without building them.

# Files of the project (tracked or new, never ignored ones) whose names match the globs "$@".
project_files() {
  if git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$root" ls-files --cached --others --exclude-standard -- "$@" | while read -r name; do
      [ ! -f "$name" ] || printf '%s\n' "$name"
    done
  else # an unpacked archive
    local pattern
    for pattern in "$@"; do
      find . -path ./build -prune -o -path ./.git -prune -o -type f -path "./$pattern" -print
    done | sed 's,^\./,,' | LC_ALL=C sort -u
  fi
}

sources() { project_files '*.cpp' '*.hpp'; }

# Which folders a folder may include: messages <- {config, store, telemetry} <- actors <- supervisors <- apps;
# messages <- console; {messages, config} <- drills. Tests and benchmarks may include everything.
# Prints one line per offence.
offences_include() {
  sources | xargs -r grep -nH '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' | awk -F: '
    BEGIN {
      allow["messages"] = "messages"
      allow["config"] = "messages config"
      allow["store"] = "messages store"
      allow["telemetry"] = "messages telemetry"
      allow["actors"] = "messages config store telemetry actors"
      allow["supervisors"] = allow["actors"] " supervisors"
      allow["console"] = "messages console"
      allow["drills"] = "messages config drills"
      allow["apps"] = allow["supervisors"] " console drills apps"
      allow["bench"] = allow["apps"] " bench tests"
      allow["tests"] = allow["apps"] " bench tests"
      # A role never includes another role: they meet through messages/interfaces.hpp.
      roles = split("forwarder receiver shard buffer store_writer pusher", role, " ")
    }
    # The role a file of actors/ belongs to: pusher.cpp and pusher_retry.hpp are the pusher. "" = none.
    function role_of(file,    i, base) {
      if (file ~ /^actors\/sources\/[a-z0-9_]+_source\.[ch]pp$/) { base = file; sub(/\..*$/, "", base); return base }
      if (file !~ /^actors\/[^\/]+$/) return ""
      base = file; sub(/^actors\//, "", base); sub(/\.[ch]pp$/, "", base)
      for (i = 1; i <= roles; ++i) if (base == role[i] || index(base, role[i] "_") == 1) return role[i]
      return ""
    }
    # Is this the header of a role itself, and not of a part that others may use as well?
    function is_role_header(file,    i) {
      for (i = 1; i <= roles; ++i) if (file == "actors/" role[i] ".hpp" || file == "actors/" role[i] "_state.hpp") return 1
      return file ~ /^actors\/sources\/[a-z0-9_]+_source\.hpp$/
    }
    {
      file = $1; line = $2; target = $0
      sub(/^[^"]*"/, "", target); sub(/".*$/, "", target)
      from = file; sub(/\/.*$/, "", from)
      to = target; sub(/\/.*$/, "", to)
      if (!(from in allow)) { print file ":" line ": the folder " from "/ has no include direction yet"; next }
      if (from == "tests" && target !~ /\//) next # a fixture beside its tests
      if (!(to in allow) || target !~ /\//) {
        print file ":" line ": \"" target "\": write the path from the root, or <> for what is not ours"; next
      }
      if (index(" " allow[from] " ", " " to " ") == 0) {
        print file ":" line ": " from "/ must not include " to "/ (" target ")"; next
      }
      if (from == "actors" && to == "actors" && is_role_header(target) && role_of(target) != role_of(file))
        print file ":" line ": a role never includes another role: " target
    }'
}

# Words that show that something was left open, or that belong nowhere. Each rule: files, pattern, what is wrong.
offences_words() {
  rule() { # FILES-FUNCTION PATTERN MESSAGE
    { $1 | xargs -r grep -nHIE -- "$2" || true; } | sed -e "s/^\([^:]*:[0-9]*\):.*/\1: $3/"
  }
  everything() { project_files '*.cpp' '*.hpp' '*.proto' '*.md' '*.sh' '*.txt' '*.toml' '*.cmake' 'scripts/*' | grep -v '^scripts/dev.d/check.sh$' || true; }
  headers() { project_files '*.hpp' | grep -v '^tests/' || true; }
  # What tests/support does to make a disk slow or to poll for a condition is its own affair.
  tests() { project_files 'tests/*.cpp' 'tests/*.hpp' 'tests/*.sh' | grep -v '^tests/support/' || true; }
  actor_headers() { project_files 'messages/*.hpp' 'actors/*.hpp' 'supervisors/*.hpp' 'apps/*.hpp' 'store/*.hpp'; }
  # An open end names its issue, TODO(#12), or is finished.
  rule everything '\b(FIXME|XXX|HACK)\b|\bTODO\b($|[^(]|\([^#])' 'left open; finish it or name the issue: TODO(#12)'
  rule everything '^(<<<<<<<|>>>>>>>) ' 'a merge left this'
  rule headers 'using namespace' 'no using-directive in a header'
  rule actor_headers 'caf/all\.hpp' 'name the CAF headers you need; all of them are slow to compile'
  rule tests 'sleep_for|\busleep\(|^[[:space:]]*sleep [0-9]' 'wait for a condition, not for a time'
  # Where this checkout happens to lie is nobody else'"'"'s business.
  local parent=${root%/*}
  case "$parent" in
    '' | /tmp | /var/tmp | /usr | /opt | /srv | /root | /home) ;;
    *) { project_files '*' | xargs -r grep -nHIF -- "$parent/" || true; } | sed -e 's/^\([^:]*:[0-9]*\):.*/\1: a path of this machine/' ;;
  esac
}

# Links of the Markdown files that name no file of the project. Addresses and pure anchors are not followed.
offences_links() {
  local file target path
  project_files '*.md' | while read -r file; do
    { grep -oE '\]\([^)[:space:]]+\)' "$file" || true; } | sed -e 's/^](//' -e 's/)$//' | while read -r target; do
      case "$target" in *://* | mailto:* | '#'*) continue ;; esac
      path=${target%%#*}
      case "$path" in /*) path=".$path" ;; *) path="$(dirname "$file")/$path" ;; esac
      path=$(realpath -m --relative-to=. "$path")
      case "$path" in ..*) printf '%s: %s leads out of the project\n' "$file" "$target" && continue ;; esac
      [ -e "$path" ] || printf '%s: %s does not exist\n' "$file" "$target"
    done
  done
}

shell_scripts() {
  project_files '*' | while read -r file; do
    case "$file" in
      *.sh) printf '%s\n' "$file" ;;
      *) if IFS= read -r -n 64 first <"$file" 2>/dev/null; then
        case "$first" in '#!'*bash* | '#!'*/sh*) printf '%s\n' "$file" ;; esac
      fi ;;
    esac
  done 2>/dev/null
}

offences_scripts() {
  local file
  shell_scripts | while read -r file; do
    bash -n "$file" 2>&1 || true
    case "$file" in *.d/*.sh) continue ;; esac # sourced pieces inherit it
    grep -qE '^set -(euo pipefail|eu|e)' "$file" || printf '%s: begins without set -euo pipefail\n' "$file"
  done
}

# A planted bug that no program is set to find proves nothing, and one in a header cannot be linked by itself.
offences_planted() {
  local bug file declared
  declared=$(cat "$root/tests/planted/CMakeLists.txt" 2>/dev/null || true)
  for bug in ack_before_fsync trim_before_commit next_sequence_not_in_checkpoint cut_not_durable \
    receipt_released_by_dying_buffer; do
    grep -q "weir_planted_bug($bug\b" <<<"$declared" || printf 'tests/planted/CMakeLists.txt: %s is not planted\n' "$bug"
  done
  { sources | xargs -r grep -oHE 'WEIR_PLANTED_BUG_[A-Z_]+' || true; } | sort -u | while IFS=: read -r file bug; do
    bug=${bug#WEIR_PLANTED_BUG_}
    case "$file" in *.hpp) printf '%s: plant %s in a source, not in a header\n' "$file" "$bug" ;; esac
    grep -q "weir_planted_bug(${bug,,}\b" <<<"$declared" || printf '%s: no program is set to find %s\n' "$file" "$bug"
  done
}

offences_format() {
  sources | xargs -r -P 2 -n 1 sh -c \
    'clang-format --dry-run --Werror "$1" >/dev/null 2>&1 || echo "$1: not formatted; run scripts/dev format"' sh | sort
}

# Runs one check and counts it; its offences go to stderr.
checks_passed=0
checks_failed=0
check_one() {
  local offences
  offences=$("offences_$1")
  if [ -z "$offences" ]; then
    checks_passed=$((checks_passed + 1))
    say "ok      $2"
  else
    checks_failed=$((checks_failed + 1))
    say "FAILED  $2"
    printf '%s\n' "$offences" | sed 's/^/        /' >&2
  fi
}

check_all() {
  check_one include "includes point one way, and no role includes another"
  check_one format "sources are formatted"
  check_one words "nothing is left open"
  check_one links "links between documents lead somewhere"
  check_one scripts "scripts parse"
  check_one planted "every planted bug has a program that must find it"
}

run_check() {
  [ $# -eq 0 ] || fail_usage "check takes no arguments"
  install_packages clang-format git
  check_all
  printf '%d passed, %d failed\n' "$checks_passed" "$checks_failed"
  [ "$checks_failed" -eq 0 ]
}

# As a stage of `test`.
run_check_stage() {
  local start=$SECONDS
  headline "check"
  check_all
  count check unit-and-model $((SECONDS - start)) "$checks_passed" "$checks_failed"
}

run_format() {
  install_packages clang-format git
  if [ $# -gt 0 ]; then
    clang-format -i "$@"
  else
    sources | xargs -r -P 2 -n 20 clang-format -i
  fi
}

run_tidy() {
  local files
  install_listed_packages
  install_packages clang-tidy
  build dev weir
  if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(project_files '*.cpp' | grep -v '^tests/'); fi
  # GCC's precompiled header means nothing to clang.
  locked cmake --preset dev -B "$root/build/tidy" -DWEIR_PRECOMPILED_HEADER=OFF >/dev/null
  locked cmake --build "$root/build/tidy" --parallel "$(build_jobs)" --target weir_proto >&2
  printf '%s\n' "${files[@]}" | xargs -r -P "$(build_jobs)" -n 1 clang-tidy --quiet -p "$root/build/tidy"
}
