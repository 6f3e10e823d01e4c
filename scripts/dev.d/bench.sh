# shellcheck shell=bash
# `bench`: what a node takes on this machine, as a table and in bench/RESULTS.md. See bench/README.md.

bench_nodes=()

bench_clean_up() {
  local status=$?
  trap - EXIT INT TERM
  for process in "${bench_nodes[@]}"; do kill -9 "$process" 2>/dev/null || true; done
  rm -f /dev/shm/weir-bench-bodies
  exit "$status"
}

# What /proc says of a process: CPU seconds of the threads whose names match.
bench_cpu() { # PID PATTERN
  local ticks
  ticks=$(cat /proc/"$1"/task/*/stat 2>/dev/null | awk -v pattern="$2" '
    { name = $0; sub(/^[^(]*\(/, "", name); sub(/\) .*$/, "", name); rest = $0; sub(/^.*\) /, "", rest)
      split(rest, field, " "); if (name ~ pattern) sum += field[12] + field[13] } END { print sum + 0 }')
  awk -v ticks="$ticks" -v hertz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", ticks / hertz }'
}

bench_peak_mb() { awk '/^VmHWM/ {printf "%d", $2 / 1024}' "/proc/$1/status"; }
bench_rss_mb() { awk '/^VmRSS/ {printf "%d", $2 / 1024}' "/proc/$1/status"; }
bench_now_ms() { printf '%s' $(($(date +%s%N) / 1000000)); }
bench_metric() { curl --silent --fail --max-time 10 "http://127.0.0.1:$bench_control/metrics" | awk -v name="$1" '$1 == name || index($1, name "{") == 1 {sum += $NF} END {printf "%d", sum}'; }
# Upper bound in ms of the histogram's bucket that holds the quantile.
bench_quantile() { # NAME QUANTILE
  curl --silent --fail --max-time 10 "http://127.0.0.1:$bench_control/metrics" | awk -v name="$1" -v q="$2" '
    index($1, name "_bucket{") == 1 { split($1, part, "le=\""); sub(/\".*/, "", part[2]); bound[++n] = part[2]; count[n] = $2 }
    END { for (i = 1; i <= n; ++i) if (count[i] >= q * count[n]) { printf "%s", bound[i] == "+Inf" ? "inf" : bound[i] * 1000; exit } }'
}
bench_div() { awk -v a="$1" -v b="$2" -v digits="${3:-2}" 'BEGIN { printf "%." digits "f", (b > 0 ? a / b : 0) }'; }

# Starts a node in $bench_place/NAME with a job file on stdin; leaves its process in bench_node.
bench_start_node() { # NAME EXTRA_TOML
  local place="$bench_place/$1" deadline
  mkdir -p "$place"
  cat >"$place/jobs.ndjson"
  cp "$bench_place/bench.token" "$place/bench.token"
  cat >"$place/weir.toml" <<TOML
[node]
name = "bench"
data_dir = "data"
[ingest.http]
listen = "127.0.0.1:$bench_ingest"
[control]
listen = "127.0.0.1:$bench_control"
[[tokens]]
name = "bench"
secret_file = "bench.token"
scopes = ["*"]
rights = ["ingest", "read", "write", "operate"]
[datasets.http_requests]
scope_field = "ZoneID"
timestamp_field = "EdgeStartTimestamp"
[limits]
buffer_creation_rate = 1000000
$2
[jobs]
file = "jobs.ndjson"
TOML
  bench_start_again "$1"
}

bench_start_again() { # NAME
  local place="$bench_place/$1"
  "$weir" run --config "$place/weir.toml" >>"$place/node.log" 2>&1 8>&- &
  bench_node=$!
  bench_nodes+=("$bench_node")
  deadline=$(($(bench_now_ms) + 60000))
  until curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$bench_control/readyz"; do
    kill -0 "$bench_node" 2>/dev/null && [ "$(bench_now_ms)" -lt $deadline ] || { tail -n 20 "$place/node.log" >&2; fail "the node did not get ready"; }
    sleep 0.02
  done
}

bench_stop_node() { # SIGNAL
  kill "-$1" "$bench_node" 2>/dev/null || true
  wait "$bench_node" 2>/dev/null || true
}

bench_jobs() { # COUNT DESTINATION INTERVAL; zone n gets job n
  "$weir" generate --list-zones "$1" | awk -v before="${2%%ZONE*}" -v after="${2#*ZONE}" -v interval="$3" '{
    print "{\"id\":" NR ",\"dataset\":\"http_requests\",\"scope\":\"zones/" $1 "\",\"enabled\":true,\"destination_conf\":\"" before $1 after "\",\"max_upload_interval_seconds\":" interval "}" }'
}

bench_send() { # BODIES CONNECTIONS EXTRA…: leaves sender's seconds and CPU in files
  local bodies=$1 connections=$2
  shift 2
  TIMEFORMAT='%R %U %S'
  { time "$weir" generate --replay "$bodies" --url "http://127.0.0.1:$bench_ingest/v1/ingest/http_requests" \
      --token-file "$bench_place/bench.token" --connections "$connections" --json "$@" >"$bench_place/send.json" 2>"$bench_place/send.log" 8>&-; } 2>"$bench_place/send.time"
}

# One throughput case; appends a row to the table.
bench_throughput() { # TITLE JOBS EVENTS DESTINATION INTERVAL BAR
  local title=$1 jobs=$2 events=$3 destination=$4 interval=$5 bar=$6 name
  name=$(tr -c 'a-z0-9\n' '-' <<<"$title")
  headline "$title"
  "$weir" generate --bodies "$bench_bodies" --events "$events" --zones "$jobs" --seed 7 >/dev/null 2>&1
  bench_start_node "$name" "$bench_extra" < <(bench_jobs "$jobs" "$destination" "$interval")
  local rss_before cpu0 start seconds cpu rss delivered deadline drained written accepted
  rss_before=$(bench_rss_mb "$bench_node")
  cpu0=$(bench_cpu "$bench_node" .)
  start=$(bench_now_ms)
  bench_send "$bench_bodies" "${bench_connections:-32}" || { cat "$bench_place/send.log" "$bench_place/send.json" >&2; fail "the sender failed"; }
  seconds=$(bench_div $(($(bench_now_ms) - start)) 1000)
  cpu=$(awk -v a="$(bench_cpu "$bench_node" .)" -v b="$cpu0" 'BEGIN {printf "%.2f", a - b}')
  rss=$(bench_peak_mb "$bench_node")
  deadline=$(($(bench_now_ms) + 60000))
  accepted=$(bench_metric weir_shard_sealed_events_total)
  delivered=$(bench_metric weir_pusher_delivered_events_total)
  if [ "$bench_drain" = yes ]; then
    while [ "$delivered" -lt "$accepted" ] && [ "$(bench_now_ms)" -lt $deadline ]; do
      sleep 0.1
      delivered=$(bench_metric weir_pusher_delivered_events_total)
    done
  fi
  drained=$(bench_div $(($(bench_now_ms) - start)) 1000)
  local cpu_all cpu_stages sender_cpu wchar
  cpu_all=$(awk -v a="$(bench_cpu "$bench_node" .)" -v b="$cpu0" 'BEGIN {printf "%.2f", a - b}')
  cpu_stages="http $(bench_div "$(bench_cpu "$bench_node" '^ingest')" "$(bench_div "$events" 1000000)"), roles $(bench_div "$(bench_cpu "$bench_node" '^caf')" "$(bench_div "$events" 1000000)"), all $(bench_div "$cpu_all" "$(bench_div "$events" 1000000)")"
  sender_cpu=$(awk '{printf "%.2f", $2 + $3}' "$bench_place/send.time")
  wchar=$(bench_metric weir_shard_sealed_bytes_total)
  written=$(awk '/^write_bytes/ {print $2}' "/proc/$bench_node/io")
  printf '| %s | %s M | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$title" \
    "$(bench_div "$(bench_div "$events" "$seconds" 0)" 1000000)" "$bar" "$(bench_div "$cpu" "$seconds")" "$cpu_stages" \
    "$(bench_div "$sender_cpu" "$(bench_div "$events" 1000000)")" "$rss ($rss_before before)" \
    "$seconds / $drained" "$(bench_div "$wchar" "$events" 0)" "$(bench_div "$delivered" "$accepted" 3)" >>"$bench_place/throughput.md"
  tail -n 1 "$bench_place/throughput.md"
  [ "$bench_keep" = yes ] || { bench_stop_node KILL; rm -rf "$bench_place/$name/data" "$bench_place/objects"; }
}

bench_latency() {
  headline "acknowledgement at 10 % of the load"
  bench_start_node latency "" < <(bench_jobs 64 "file://$bench_place/objects/ZONE" 1)
  "$weir" generate --url "http://127.0.0.1:$bench_ingest/v1/ingest/http_requests" --token-file "$bench_place/bench.token" \
    --events 800000 --rate 80000 --zones 64 --body-bytes 65536 --connections 8 --json >"$bench_place/latency.json" 2>"$bench_place/latency.log" \
    || { cat "$bench_place/latency.log" "$bench_place/latency.json" >&2; fail "the sender failed"; }
  printf '\nAcknowledgement at 80,000 events/s in bodies of 64 KiB, 64 jobs, as the node measures it: p50 ≤ %s ms, p99 ≤ %s ms (bars 55 and 100).\n' \
    "$(bench_quantile weir_ingest_answer_seconds 0.5)" "$(bench_quantile weir_ingest_answer_seconds 0.99)" >>"$bench_place/rest.md"
  tail -n 1 "$bench_place/rest.md"
  bench_stop_node KILL
}

bench_million_jobs() {
  headline "1,000,000 configured jobs, 10,000 active"
  local start
  start=$(bench_now_ms)
  bench_start_node million "memory = \"4GiB\"" < <(bench_jobs 1000000 "file://$bench_place/objects/ZONE" 300)
  local ready
  ready=$(($(bench_now_ms) - start))
  "$weir" generate --url "http://127.0.0.1:$bench_ingest/v1/ingest/http_requests" --token-file "$bench_place/bench.token" \
    --events 500000 --zones 10000 --connections 4 >"$bench_place/million.log" 2>&1 || { cat "$bench_place/million.log" >&2; fail "the sender failed"; }
  printf '\n1,000,000 configured jobs (10,000 active): peak RSS %s MB (bar 1,024), written and started in %s ms.\n' "$(bench_peak_mb "$bench_node")" "$ready" >>"$bench_place/rest.md"
  tail -n 1 "$bench_place/rest.md"
  bench_stop_node KILL
}

# Follows the case with all destinations down, whose node still runs with its backlog.
bench_recovery() { # NAME
  local backlog start took
  backlog=$(du -sm "$bench_place/$1/data/store" | cut -f1)
  bench_stop_node KILL
  sync
  echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
  start=$(bench_now_ms)
  bench_start_again "$1"
  took=$(($(bench_now_ms) - start))
  printf '\nStart after kill -9 with %s MB in the store, caches dropped: ready after %s ms; the store says: %s\n' "$backlog" "$took" "$(grep -o '[0-9]* segments with [^"]*' "$bench_place/$1/node.log" | tail -n 1)" >>"$bench_place/rest.md"
  tail -n 1 "$bench_place/rest.md"
  bench_stop_node KILL
}

run_bench() {
  local weir="$root/build/release/weir" bench_place="${WEIR_BENCH_DIR:-$root/build/bench}" bench_ingest bench_control bench_node=
  local bench_extra="" bench_drain=yes bench_keep=no only=${1:-all}
  install_listed_packages
  build release weir weir_bench_in_process
  exec 8>"$root/build/.bench.lock"
  flock -n 8 || fail "another bench is running in this checkout"
  rm -rf "$bench_place"
  mkdir -p "$bench_place"
  trap bench_clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # Bodies lie in memory where there is a place for them, so that reading them is not the disk's work.
  local bench_bodies="$bench_place/bodies"
  [ ! -w /dev/shm ] || bench_bodies=/dev/shm/weir-bench-bodies
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$bench_place/bench.token")
  bench_ingest=$(demo_free_port)
  bench_control=$(demo_free_port "$bench_ingest")
  local million=${WEIR_BENCH_EVENTS:-5000000}
  if [[ $only = all || $only = 64 ]]; then bench_throughput "64 jobs" 64 "$million" "file://$bench_place/objects/ZONE" 1 "0.8 M"; fi
  if [[ $only = all || $only = 1000 ]]; then bench_throughput "1,000 jobs" 1000 "$million" "file://$bench_place/objects/ZONE" 5 "0.6 M"; fi
  if [[ $only = all || $only = 100000 ]]; then
    bench_extra='memory = "2GiB"'
    bench_throughput "100,000 jobs" 100000 $((million / 2)) "file://$bench_place/objects/ZONE" 30 "0.3 M"
    bench_extra=""
  fi
  if [[ $only = all || $only = down ]]; then
    bench_drain=no bench_keep=yes
    # Port 9 of the loopback address: nobody listens there.
    bench_down_extra=$'[destinations]\nallow_private = ["127.0.0.0/8"]\nallow_insecure_http = true'
    bench_extra="$bench_down_extra"
    bench_throughput "all destinations down" 64 $((million * 2)) "http://127.0.0.1:9/ZONE" 1 "0.8 M"
    bench_recovery all-destinations-down
    bench_drain=yes bench_keep=no bench_extra=""
    rm -rf "$bench_place/all-destinations-down"
  fi
  if [[ $only = all || $only = latency ]]; then bench_latency; fi
  if [[ $only = all || $only = million ]]; then bench_million_jobs; fi
  if [[ $only = all || $only = in-process ]]; then
    headline "in one process, without HTTP"
    for jobs in 64 1000 100000; do "$root/build/release/weir_bench_in_process" "$bench_place/in-process" $jobs 2>>"$bench_place/in-process.log" | tee -a "$bench_place/in-process.md"; done
  fi
  bench_report "$bench_place"
}

bench_report() { # PLACE
  {
    echo "# What Weir does on this machine"
    echo
    echo "Made by \`./scripts/dev bench\` from commit $(git -C "$root" rev-parse --short HEAD) on $(date -u +%F): $(nproc) cores ($(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo)), $(awk '/^MemTotal/ {printf "%d", $2 / 1048576}' /proc/meminfo) GiB, Linux $(uname -r)."
    echo "Sender, node and objects share these cores and one disk; compare ratios within one run. bench/README.md says what each column means."
    echo
    echo "| case | events/s | bar | node's cores busy | node's CPU s per M events | sender's CPU s per M | peak RSS, MB | sent / drained, s | sealed bytes per event | delivered |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    cat "$1/throughput.md" 2>/dev/null || true
    cat "$1/rest.md" 2>/dev/null || true
    [ ! -f "$1/in-process.md" ] || { echo; echo "In one process, bodies handed to the node without HTTP:"; echo; echo "| jobs | events/s | CPU s per M events | peak RSS, MB |"; echo "|---|---|---|---|"; cat "$1/in-process.md"; }
  } >"$root/bench/RESULTS.md"
  say "wrote bench/RESULTS.md"
}
