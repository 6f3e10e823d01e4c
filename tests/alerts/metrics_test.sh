#!/usr/bin/env bash
# metrics_test.sh WEIR: a real node shows every metric that config/alerts.yml and config/dashboard.json ask for, with
# the labels and the label values they ask for.
set -euo pipefail
weir=$1
# shellcheck source=tests/alerts/names.sh
source "$(dirname "$0")/names.sh"
place=$(mktemp -d)
node=
finish() {
  [ -z "$node" ] || { kill "$node" 2>/dev/null && wait "$node" || true; }
  rm -rf "$place"
}
trap finish EXIT

printf 'a-token-for-this-test-only\n' >"$place/token"
mkdir "$place/out"
cat >"$place/weir.toml" <<TOML
[node]
name = "n1"
data_dir = "data"
[ingest.http]
listen = "127.0.0.1:0"
[control]
listen = "127.0.0.1:0"
[log]
format = "json"
[[tokens]]
name = "t"
secret_file = "token"
scopes = ["*"]
rights = ["ingest", "read", "operate"]
[datasets.d]
scope_field = "ZoneID"
[[jobs.job]]
id = 1
dataset = "d"
scope = "zones/z"
destination_conf = "file://$place/out"
max_upload_interval_seconds = 1
TOML
"$weir" run --config "$place/weir.toml" >"$place/log" 2>&1 &
node=$!
# The log names the ports that the system chose. The file is followed until it does, or the node ends.
started=$(timeout 30 tail --pid="$node" -n +1 -F "$place/log" 2>/dev/null | grep -m 1 '"node-started"') || {
  cat "$place/log"
  exit 1
}
ingest=$(sed -E 's/.*takes events on ([0-9.:]+).*/\1/' <<<"$started")
control=$(sed -E 's/.*shows itself on ([0-9.:]+);.*/\1/' <<<"$started")
token=$(cat "$place/token")

curl -sS --max-time 30 "http://$ingest/v1/ingest/d" -H "Authorization: Bearer $token" --data-binary '{"ZoneID":"z"}' >/dev/null
# Delays are known once something was delivered.
timeout 30 bash -c "until curl -sS http://$control/metrics | grep -q '^weir_pusher_delivered_events_total [1-9]'; do :; done"
curl -sS --max-time 30 "http://$control/metrics" >"$place/metrics"

shown=$(sed -n 's/^# TYPE \([a-z0-9_]*\) .*/\1/p' "$place/metrics" | sort -u)
asked=$({ rule_expressions; panel_expressions; } | metric_names | families)
check "a node shows every metric of the rules and the dashboard" "$(comm -13 <(printf '%s\n' "$shown") <(printf '%s\n' "$asked"))"

# name{label="value"} of the rules, exact matches only: there is such a series.
check "a node has the label values that the rules ask for" "$(rule_expressions | grep -oE '\bweir_[a-z0-9_]+\{[a-z]+="[^"]*"' | sort -u | while IFS='{' read -r name label; do
  grep -E "^$name\{" "$place/metrics" | grep -qF -- "$label" || echo "$name{$label}"
done)"
# Labels whose values come from a name that the alert's text shows.
check "a node has the labels that the texts of alerts show" "$(awk '/^ *expr: /{expr = $0} /\$labels\./{print expr "\t" $0}' "$rules" \
  | while IFS=$'\t' read -r expression text; do
    for label in $(grep -oE '\$labels\.[a-z]+' <<<"$text" | sed 's/.*\.//' | sort -u); do
      case "$label" in job | instance) continue ;; esac
      for name in $(metric_names <<<"$expression" | families); do
        case "$name" in process_*) continue ;; esac
        grep -qE "^$name(_bucket)?\{.*\b$label=" "$place/metrics" || echo "$name has no label $label"
      done
    done
  done | sort -u)"
promtool check metrics <"$place/metrics" >"$place/check" 2>&1 || true
check "Prometheus can read what a node shows" "$(grep -iE 'error|invalid|unexpected' "$place/check" || true)"
exit $((failures > 0))
