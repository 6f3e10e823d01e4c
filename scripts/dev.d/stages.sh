# shellcheck shell=bash
# The stages of the test run: the table, the stopwatch, the counts.

stage_table() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/scripts/stages.txt"; }

# Minutes of a budget, from the table in docs/ci.md: | `name` | minutes | … |
budget_minutes() {
  awk -F'|' -v name="\`$1\`" '{gsub(/^ +| +$/, "", $2); gsub(/ /, "", $3)} $2 == name {print $3; exit}' "$root/docs/ci.md"
}

budget_names() { printf '%s\n' packages builds unit-and-model kills end-to-end; }

declare -A spent=()       # budget -> seconds
declare -a stage_lines=() # for the summary
passed=0
failed=0

# count STAGE BUDGET SECONDS PASSED FAILED
count() {
  spent[$2]=$((${spent[$2]:-0} + $3))
  passed=$((passed + $4))
  failed=$((failed + $5))
  stage_lines+=("$(printf '%-10s %-15s %7s %8d %8d' "$1" "$2" "$(minutes "$3")" "$4" "$5")")
}

# Reads ctest's JUnit file and prints "passed failed skipped": doctest's cases where a test prints them, else the test
# itself. A test that failed although all its cases passed (a crash, a sanitizer's report, a timeout) or whose program
# is missing counts as one failure.
counts_of_results() {
  awk '
    /<testcase / { cases = good = bad = 0; state = $0; sub(/.*status="/, "", state); sub(/".*/, "", state); broken = 0 }
    /<skipped message=/ && !/SKIP_/ { broken = 1 }
    /\[doctest\] test cases:/ {
      line = $0; sub(/.*test cases:/, "", line); gsub(/[^0-9|]/, "", line); split(line, n, "|")
      cases += n[1]; good += n[2]; bad += n[3]
    }
    /<\/testcase>/ {
      if (state == "run") { if (cases == 0) good = 1; passed += good; failed += bad }
      else if (state == "fail" || broken) { if (bad == 0) bad = 1; passed += good; failed += bad }
      else ++skipped
    }
    END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# What the sanitizers shall do: end with a report at the first finding, so that no test can pass over it.
sanitizer_environment() {
  export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
  export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}"
  export TSAN_OPTIONS="halt_on_error=1:ignore_noninstrumented_modules=1:second_deadlock_stack=1:suppressions=$root/tests/support/tsan.supp:${TSAN_OPTIONS:-}"
}

# run_tests STAGE BUDGET PRESET PARALLEL CTEST_ARGUMENT...
run_tests() {
  local stage=$1 budget=$2 preset=$3 parallel=$4 start=$SECONDS results good bad skipped status=0
  shift 4
  headline "$stage: ctest in build/$preset $*"
  results="$root/build/$preset/results-$stage.xml"
  rm -f "$results"
  ctest --test-dir "$root/build/$preset" --parallel "$parallel" --output-on-failure --no-tests=error \
    --output-junit "$results" --test-output-size-passed 10000 --test-output-truncation head "$@" </dev/null >&2 || status=$?
  good=0 bad=0 skipped=0
  [ ! -f "$results" ] || read -r good bad skipped < <(counts_of_results "$results")
  if [ "$status" -ne 0 ]; then
    say "stage $stage failed"
    [ "$bad" -gt 0 ] || bad=1 # such as a label without tests
  fi
  [ "$skipped" -eq 0 ] || say "stage $stage skipped $skipped tests"
  count "$stage" "$budget" $((SECONDS - start)) "$good" "$bad"
}

# Everything that the stages of PRESET with these labels need, as far as it is a target.
stage_targets() {
  local preset=$1 label
  shift
  for label in "$@"; do
    if has_target "$preset" "weir_${label}_tests"; then printf '%s\n' "weir_${label}_tests"; fi
  done
}

print_summary() {
  local line name limit note total=0
  {
    printf '\n%-10s %-15s %7s %8s %8s\n' stage budget time passed failed
    for line in "${stage_lines[@]}"; do printf '%s\n' "$line"; done
    printf '\n%-15s %7s %7s\n' budget spent of
    for name in $(budget_names); do
      limit=$(budget_minutes "$name")
      note=
      [ "${spent[$name]:-0}" -le $((${limit:-0} * 60)) ] || note='  over budget: see docs/ci.md'
      printf '%-15s %7s %7s%s\n' "$name" "$(minutes "${spent[$name]:-0}")" "${limit:-?}:00" "$note"
      total=$((total + ${spent[$name]:-0}))
    done
    printf '%-15s %7s %7s\n\n' total "$(minutes "$total")" 60:00
  } >&2
}

# The last line of a test run, in a form that machines read too; also when the run breaks off.
concluded=no
conclude() {
  print_summary
  concluded=yes
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}

conclude_early() {
  local status=$?
  # 2: asked for wrongly, so nothing was tested.
  [ "$concluded" = no ] && [ "$status" -ne 2 ] || return "$status"
  say "the test run broke off"
  printf '%d passed, %d failed\n' "$passed" $((failed + 1))
  exit 1
}
