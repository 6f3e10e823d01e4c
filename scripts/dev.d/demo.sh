# shellcheck shell=bash
# `demo`: a node, 50 jobs, a million events, and the proof that each of them is where it belongs.

demo_zones=200
demo_wanted=50 # every fourth zone has one: three quarters of the zones are not entitled
demo_node=
demo_sender=

# Two ports of the loopback address on which nobody listens now.
demo_free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    [ "$port" != "${1:-}" ] || continue
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s' "$port"
      return
    fi
  done
  fail "found no free port between 20000 and 32000"
}

# Ends what the demo started, and nothing else; also on Ctrl-C.
demo_clean_up() {
  local status=$?
  trap - EXIT INT TERM
  for process in "$demo_sender" "$demo_node"; do
    [ -n "$process" ] && kill -TERM "$process" 2>/dev/null || true
  done
  [ -z "$demo_node" ] || wait "$demo_node" 2>/dev/null || true
  exit "$status"
}

# One line a zone of stdin: both the node and the audit read it.
demo_jobs() { # PLACE
  jq -cnR --arg place "$1" '[inputs] | to_entries[] | {
    id: (.key + 1), dataset: "http_requests", scope: "zones/\(.value)",
    destination_conf: "file://\($place)/objects/\(.value)", max_upload_interval_seconds: 1}'
}

demo_config() { # INGEST_PORT CONTROL_PORT
  cat <<TOML
[node]
name = "demo"
data_dir = "data"

[ingest.http]
listen = "127.0.0.1:$1"

[control]
listen = "127.0.0.1:$2"

[[tokens]]
name = "demo"
secret_file = "demo.token"
scopes = ["*"]
rights = ["ingest", "read", "write", "operate"]

[datasets.http_requests]
scope_field = "ZoneID"
timestamp_field = "EdgeStartTimestamp"

[jobs]
file = "jobs.ndjson"
TOML
}

# demo_metric FILE NAME: the sum over a metric's labels.
demo_metric() { awk -v name="$2" '$1 == name || index($1, name "{") == 1 {sum += $NF} END {printf "%d", sum}' "$1"; }

demo_number() { # 1234567 -> 1,234,567
  local text=$1
  while [[ $text =~ ^([0-9]+)([0-9]{3}.*)$ ]]; do text="${BASH_REMATCH[1]},${BASH_REMATCH[2]}"; done
  printf '%s' "$text"
}

# Reads the node's counters into received, not_entitled, accepted, delivered.
demo_read_counters() { # CONTROL_PORT PLACE
  curl --silent --fail --max-time 5 "http://127.0.0.1:$1/metrics" >"$2/metrics.txt" || return 1
  received=$(demo_metric "$2/metrics.txt" weir_forwarder_received_events_total)
  not_entitled=$(demo_metric "$2/metrics.txt" weir_forwarder_not_entitled_events_total)
  accepted=$(demo_metric "$2/metrics.txt" weir_shard_sealed_events_total)
  delivered=$(demo_metric "$2/metrics.txt" weir_pusher_delivered_events_total)
}

demo_progress() { # one line a second; on a terminal always the same one
  local line
  line=$(printf '%5s s  %12s received  %10s/s  %12s backlog  %12s delivered' \
    "$1" "$(demo_number "$received")" "$(demo_number "$2")" "$(demo_number $((accepted - delivered)))" "$(demo_number "$delivered")")
  if [ -t 2 ]; then printf '\r%s' "$line" >&2; else say "$line"; fi
}

demo_alive() { kill -0 "$1" 2>/dev/null; }
milliseconds() { printf '%s' $(($(date +%s%N) / 1000000)); }

run_demo() {
  local events=${WEIR_DEMO_EVENTS:-1000000} place="$root/build/demo" weir="$root/build/release/weir"
  local ingest control start now before deadline sent_in drained_in status=0
  local received=0 not_entitled=0 accepted=0 delivered=0 last=0 seconds=-1
  [ $# -eq 0 ] || fail_usage "demo takes no arguments"
  [[ $events =~ ^[1-9][0-9]*$ ]] || fail_usage "WEIR_DEMO_EVENTS must be a whole number above 0"

  install_listed_packages
  build release weir

  # One demo at a time: its folder is made anew. The lock ends with this shell.
  exec 8>"$root/build/.demo.lock"
  flock -n 8 || fail "another demo is running in this checkout"
  rm -rf "$place"
  mkdir -p "$place/objects"
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$place/demo.token")
  ingest=$(demo_free_port)
  control=$(demo_free_port "$ingest")
  "$weir" generate --list-zones $demo_zones >"$place/zones.txt"
  awk -v every=$((demo_zones / demo_wanted)) 'NR % every == 1' "$place/zones.txt" | demo_jobs "$place" >"$place/jobs.ndjson"
  demo_config "$ingest" "$control" >"$place/weir.toml"
  "$weir" check "$place/weir.toml" >"$place/check.log" 2>&1 || {
    cat "$place/check.log" >&2
    fail "the demo's config is refused"
  }

  headline "a node with $demo_wanted jobs on 127.0.0.1:$ingest, control on 127.0.0.1:$control"
  trap demo_clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  "$weir" run --config "$place/weir.toml" >"$place/node.log" 2>&1 8>&- &
  demo_node=$!
  deadline=$(($(milliseconds) + 30000))
  until curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$control/readyz"; do
    demo_alive "$demo_node" && [ "$(milliseconds)" -lt $deadline ] || {
      tail -n 20 "$place/node.log" >&2
      fail "the node did not get ready"
    }
    sleep 0.1
  done

  headline "$(demo_number "$events") events of $demo_zones zones"
  start=$(milliseconds)
  before=$start
  "$weir" generate --url "http://127.0.0.1:$ingest/v1/ingest/http_requests" --token-file "$place/demo.token" --zones $demo_zones \
    --events "$events" --seed 1 --connections 4 --receipts "$place/sent.receipts" --json \
    >"$place/generate.json" 2>"$place/generate.log" 8>&- &
  demo_sender=$!
  deadline=
  while :; do
    sleep 0.5
    now=$(milliseconds)
    demo_alive "$demo_node" || { tail -n 20 "$place/node.log" >&2; fail "the node ended"; }
    if demo_read_counters "$control" "$place"; then
      if [ $(((now - start) / 1000)) -gt $seconds ]; then
        seconds=$(((now - start) / 1000))
        demo_progress "$seconds" $(((received - last) * 1000 / (now - before)))
        last=$received
        before=$now
      fi
    fi
    if [ -n "$demo_sender" ] && ! demo_alive "$demo_sender"; then
      wait "$demo_sender" || { cat "$place/generate.log" >&2; fail "the sender failed"; }
      demo_sender=
      sent_in=$((now - start))
      deadline=$((now + 120000))
    elif [ -z "$demo_sender" ]; then
      [ "$delivered" -lt "$accepted" ] || break
      [ "$now" -lt $deadline ] || fail "not everything was delivered within 2 minutes; see $place/node.log"
    fi
  done
  drained_in=$(($(milliseconds) - start - sent_in))
  [ ! -t 2 ] || printf '\n' >&2

  headline "stop the node, audit what it delivered"
  kill -TERM "$demo_node"
  wait "$demo_node" || status=$?
  demo_node=
  [ "$status" -eq 0 ] || { tail -n 20 "$place/node.log" >&2; fail "the node ended with $status"; }
  "$weir" audit "$place/objects" --receipts "$place/sent.receipts" --jobs "$place/jobs.ndjson" --json \
    >"$place/audit.json" 2>"$place/audit.log" || status=$?
  [ -s "$place/audit.json" ] || { cat "$place/audit.log" >&2; fail "the audit itself failed"; }
  demo_table "$place" "$sent_in" "$drained_in"
  [ "$status" -eq 0 ] || fail "the audit found something missing, doubled or damaged; see $place/audit.json"
}

# What the sender was told, what the files hold, and how to look at one.
demo_table() { # PLACE SENT_IN DRAINED_IN, in milliseconds
  local place=$1 objects example
  json() { jq -r "$2" "$place/$1.json"; }
  row() { printf '  %-26s %14s  %s\n' "$1" "$2" "${3:-}"; }
  objects=$(json audit .files)
  example=$(find "$place/objects" -name '*.log.gz' | LC_ALL=C sort | head -n 1)
  printf '\n'
  row sent "$(demo_number "$(json generate .events)")" "events of $demo_zones zones"
  row accepted "$(demo_number "$(json generate .accepted)")" "on disk in a job's buffer before the answer"
  row "not entitled" "$(demo_number "$(json generate .not_entitled)")" "of zones without a job: counted, not kept"
  row delivered "$(demo_number "$(json audit .events)")" "in $objects gzip files"
  row missing "$(demo_number "$(json audit '.receipts.missing + .gaps')")" "acknowledged, but in no file"
  row doubled "$(demo_number "$(json audit '.doubled_sequences + .doubled_events')")"
  row "events/s" "$(demo_number "$(json generate '.events_per_second | floor')")" \
    "acknowledged, over HTTP, sender on the same machine; all in $(demo_seconds "$2") s"
  row "last delivery after" "$(demo_seconds "$3") s" "more"
  printf '\nThe files are under %s. Look at one:\n' "$place/objects"
  printf '  zcat %s | head -n 1 | jq .\n' "$example"
  printf 'Audit them again, job by job:\n'
  printf '  %s audit %s --receipts %s --all-jobs\n' "$root/build/release/weir" "$place/objects" "$place/sent.receipts"
}

demo_seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }
