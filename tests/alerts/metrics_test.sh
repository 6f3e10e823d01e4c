#!/usr/bin/env bash
# metrics_test.sh WEIR: a real node shows every metric that config/alerts.yml and config/dashboard.json ask for, with
# the labels and the label values they ask for.
set -euo pipefail
weir=$1
# shellcheck source=tests/alerts/names.sh
source "$(dirname "$0")/names.sh"
place=$(mktemp -d)
node= prometheus=
finish() {
  for process in $prometheus $node; do
    kill "$process" 2>/dev/null && wait "$process" || true
  done
  rm -rf "$place"
}
trap finish EXIT

printf 'a-token-for-this-test-only\n' >"$place/token"
chmod 600 "$place/token"
mkdir "$place/out" "$place/beat"
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
[datasets.weir_heartbeat]
scope_field = "Node"
[[jobs.job]]
id = 2
dataset = "weir_heartbeat"
scope = "zones/weir-heartbeat"
destination_conf = "file://$place/beat"
max_upload_interval_seconds = 1
TOML
"$weir" run --config "$place/weir.toml" >"$place/log" 2>&1 &
node=$!
# The log names the ports that the system chose. The file is followed until it does, or the node ends.
first_line() { # PROCESS FILE PATTERN: waits for it
  timeout 30 tail --pid="$1" -n +1 -F "$2" 2>/dev/null | grep -m 1 -e "$3" || true # tail dies of the closed pipe
}
started=$(first_line "$node" "$place/log" '"node-started"')
[ -n "$started" ] || { cat "$place/log" && exit 1; }
ingest=$(sed -E 's/.*takes events on ([0-9.:]+).*/\1/' <<<"$started")
control=$(sed -E 's/.*shows itself on ([0-9.:]+);.*/\1/' <<<"$started")
token=$(cat "$place/token")

curl -sS --max-time 30 "http://$ingest/v1/ingest/d" -H "Authorization: Bearer $token" --data-binary '{"ZoneID":"z"}' >/dev/null
# Delays are known once something was delivered, the age of the heartbeat once there was one.
timeout 30 bash -c "until curl -sS http://$control/metrics | grep -q '^weir_heartbeat_age_seconds '; do :; done
  until curl -sS http://$control/metrics | grep -q '^weir_pusher_delivered_events_total [1-9]'; do :; done"
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

# What promtool cannot see: whether each rule can be evaluated over all that a node shows. Nothing leaves the machine.
cat >"$place/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$place/rules.yml]
scrape_configs:
  - job_name: weir
    static_configs: [{targets: ["$control"]}]
YAML
sed 's/^    interval: 5s$/    interval: 1s/' "$rules" >"$place/rules.yml"
prometheus --config.file="$place/prometheus.yml" --storage.tsdb.path="$place/prometheus" \
  --web.listen-address=127.0.0.1:0 >"$place/prometheus.log" 2>&1 &
prometheus=$!
listening=$(first_line "$prometheus" "$place/prometheus.log" 'msg="Listening on"')
[ -n "$listening" ] || { cat "$place/prometheus.log" && exit 1; }
api=http://${listening##*address=}/api/v1
rules_of() { curl -sS --max-time 10 "$api/rules" | jq -r "$1"; }
# With the fourth scrape every rule was evaluated over an earlier one.
export api
timeout 60 bash -c 'until curl -sS -G "$api/query" --data-urlencode "query=sum_over_time(up[1m]) >= 4" \
  | jq -e ".data.result != []" >/dev/null; do read -rt 0.2 <> <(:) || :; done' 2>/dev/null || true
check "Prometheus can evaluate every rule over what a node shows" \
  "$(rules_of '.data.groups[].rules[] | select(.health != "ok") | "\(.name): \(.lastError)"')"
check "the rules that Prometheus has are all of them" \
  "$(rules_of '[.data.groups[].rules[]] | length' | grep -vx "$(grep -c '^ *- alert: ' "$rules")" || true)"
# The job pushes, and nothing is wrong: nobody is woken. A drill may be overdue on a node that is a minute old.
check "a healthy node raises no alert" "$(rules_of '.data.groups[].rules[] | select(.state == "firing") | .name' | grep -v '^WeirDrillOverdue$' || true)"
exit $((failures > 0))
