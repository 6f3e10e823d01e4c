# shellcheck shell=bash
# `test` and `soak`: what runs, in which order, and what it builds for it.

run_test() {
  local start stage budget preset label parallel quick=no
  if [ "${1:-}" = --quick ]; then
    quick=yes
    shift
  fi
  case "${1:-}" in -*) fail_usage "unknown option '$1'" ;; esac

  trap conclude_early EXIT
  headline "packages"
  start=$SECONDS
  install_listed_packages
  count packages packages $((SECONDS - start)) 0 0
  sanitizer_environment

  if [ $# -gt 0 ]; then
    run_filtered "$@"
    conclude
    return
  fi

  run_check_stage
  build_stages "$quick"
  [ "$quick" = yes ] || run_supply_chain_stage
  while read -r -u 3 stage budget preset label parallel; do
    [ "$quick" = no ] || [ "$stage" = unit ] || continue
    case " $broken_presets " in *" $preset "*)
      count "$stage" "$budget" 0 0 1
      continue
      ;;
    esac
    run_tests "$stage" "$budget" "$preset" "$parallel" --label-regex "^$label\$"
  done 3< <(stage_table)
  conclude
}

# Builds every preset once, with all that its stages need. A preset that does not build fails its stages.
broken_presets=
build_stages() {
  local quick=$1 presets preset labels targets start=$SECONDS
  presets=$(stage_table | awk -v quick="$quick" 'quick == "no" || $1 == "unit" {print $3}' | awk '!seen[$0]++')
  for preset in $presets; do
    headline "build $preset"
    mapfile -t labels < <(stage_table | awk -v preset="$preset" -v quick="$quick" \
      '$3 == preset && (quick == "no" || $1 == "unit") {print $4}' | awk '!seen[$0]++')
    (configure "$preset") || { broken_presets+=" $preset" && continue; }
    mapfile -t targets < <(stage_targets "$preset" "${labels[@]}")
    [ "$preset" != release ] || targets+=(weir)
    [ ${#targets[@]} -eq 0 ] || build "$preset" "${targets[@]}" || {
      say "the preset $preset does not build"
      broken_presets+=" $preset"
    }
  done
  count build builds $((SECONDS - start)) 0 "$(wc -w <<<"$broken_presets")"
}

# The tests whose names match one of "$@", each in the presets whose stages run it; sanitizers are left to whole runs.
run_filtered() {
  local filter stage budget preset label parallel start=$SECONDS done_presets=" " labels targets
  filter=$(IFS='|'; printf '%s' "$*")
  while read -r -u 3 stage budget preset label parallel; do
    case "$preset" in asan | tsan) continue ;; esac
    configure "$preset"
    ctest --test-dir "build/$preset" --show-only --label-regex "^$label\$" --tests-regex "$filter" 2>/dev/null \
      | grep 'Total Tests: [1-9]' >/dev/null || continue # not -q: ctest would die of the closed pipe
    case "$done_presets" in *" $preset:$label "*) continue ;; esac
    done_presets+="$preset:$label "
    mapfile -t targets < <(stage_targets "$preset" "$label")
    [ "$preset" != release ] || targets+=(weir)
    start=$SECONDS
    headline "build $preset"
    if ! build "$preset" "${targets[@]}"; then
      count "$stage" builds $((SECONDS - start)) 0 1
      continue
    fi
    count build builds $((SECONDS - start)) 0 0
    run_tests "$stage" "$budget" "$preset" "$parallel" --label-regex "^$label\$" --tests-regex "$filter"
  done 3< <(stage_table)
  [ "$done_presets" != " " ] || fail_usage "no test matches $filter; 'ctest --test-dir build/dev -N' lists them"
}

# soak [--minutes N] [LABEL…]: the randomised stages again and again, with a new seed each round.
run_soak() {
  local minutes_left=60 until round=0 stage budget preset label parallel targets wanted
  if [ "${1:-}" = --minutes ]; then
    case "${2:-}" in '' | *[!0-9]*) fail_usage "--minutes takes a whole number" ;; esac
    minutes_left=$2
    shift 2
  fi
  case "${1:-}" in -*) fail_usage "unknown option '$1'" ;; esac
  [ $# -gt 0 ] || set -- model kill fault e2e
  wanted=" $* "
  install_listed_packages
  while read -r -u 3 stage budget preset label parallel; do
    case "$wanted" in *" $label "*) ;; *) continue ;; esac
    configure "$preset"
    mapfile -t targets < <(stage_targets "$preset" "$label")
    [ "$preset" != release ] || targets+=(weir)
    [ ${#targets[@]} -eq 0 ] || build "$preset" "${targets[@]}"
  done 3< <(stage_table)

  until=$((SECONDS + minutes_left * 60))
  while [ "$SECONDS" -lt "$until" ] && [ "$failed" -eq 0 ]; do
    round=$((round + 1))
    WEIR_SEED=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
    export WEIR_SEED
    say ""
    say "round $round, WEIR_SEED=$WEIR_SEED, $(minutes $((until - SECONDS))) left"
    while read -r -u 3 stage budget preset label parallel; do
      case "$wanted" in *" $label "*) ;; *) continue ;; esac
      run_tests "$stage" "$budget" "$preset" "$parallel" --label-regex "^$label\$"
    done 3< <(stage_table)
  done
  [ "$failed" -eq 0 ] || say "repeat the failing round with: WEIR_SEED=$WEIR_SEED scripts/dev soak --minutes 1 $*"
  say "$round rounds"
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
