#!/usr/bin/env bash
# The alert rules fire, stay silent and clear as they should; every one has a runbook, and every metric that rules and
# panels ask for is one that the sources make.
set -euo pipefail
# shellcheck source=tests/alerts/names.sh
source "$(dirname "$0")/names.sh"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

promtool check rules "$rules" >"$place/check" 2>&1 && wrong= || wrong=$(cat "$place/check")
check "promtool accepts the rules" "$wrong"
promtool test rules "$root/tests/alerts/alerts_test.yml" >"$place/test" 2>&1 && wrong= || wrong=$(cat "$place/test")
check "every alert fires, stays silent and clears in time" "$wrong"

names=$(sed -n 's/^ *- alert: //p' "$rules")
check "names of alerts are there once" "$(sort <<<"$names" | uniq -d)"
# A test that expects the alert, and one time at which it does not.
check "every alert has a test in which it fires" "$(for name in $names; do
  grep -q "alertname=\"$name\"" "$root/tests/alerts/alerts_test.yml" || echo "$name"
done)"

# Each rule has what a reader needs. A rule is the text between two `- alert:` lines.
check "every rule has severity, catalogue, summary, description and the runbook of its name" "$(awk '
  function done() {
    if (name == "") return
    if (!severity) print name ": no severity critical, warning or info"
    if (!catalogue) print name ": no catalogue"
    if (!summary) print name ": no summary that names the node"
    if (!description) print name ": no description that names the node"
    if (url != "docs/operations.md#" tolower(name)) print name ": runbook_url is " url
    if (expressions != 1) print name ": expr is not one line"
  }
  /^ *- alert: / { done(); name = $3; severity = catalogue = summary = description = expressions = 0; url = "" }
  /^ *expr: [^|>]/ { ++expressions }
  /^ *labels: .*severity: (critical|warning|info)/ { severity = 1 }
  /^ *labels: .*catalogue: [a-z_]+/ { catalogue = 1 }
  /^ *summary: .*\$labels\.instance/ { summary = 1 }
  /^ *description: .*\$labels\.instance/ { description = 1 }
  /^ *runbook_url: / { url = $2 }
  END { done() }' "$rules")"
check "every alert has a runbook" "$(comm -23 <(sort <<<"$names") <(sed -n 's/^#* \(Weir[A-Za-z0-9]*\)$/\1/p' "$runbooks" | sort))"
check "every runbook has an alert" "$(comm -13 <(sort <<<"$names") <(sed -n 's/^#* \(Weir[A-Za-z0-9]*\)$/\1/p' "$runbooks" | sort))"
check "every runbook says what it means, where to look, what to do and how it ends" "$(awk '
  function done() {
    if (name == "") return
    for (i = 1; i <= 4; ++i) if (!(part[i] in seen)) print name ": no **" part[i] "**"
  }
  BEGIN { split("Means Look Act Ends", part) }
  /^#/ { done(); delete seen; name = $0 ~ /^#+ Weir[A-Za-z0-9]+$/ ? $2 : "" }
  { for (i = 1; i <= 4; ++i) if (index($0, "**" part[i] "**")) seen[part[i]] = 1 }
  END { done() }' "$runbooks")"

# The catalogue's names of the alerts that faults must raise.
for fault in config_rejected config_blast_radius config_stale customer_removed buffers_over_budget tenant_over_quota \
  memory_pressure oom_kill crash_loop poison_event disk_low disk_error disk_slow segment_corrupt destination_down \
  destination_slow node_unreachable auth_failures; do
  grep -q "catalogue: $fault}" "$rules" || echo "$fault"
done >"$place/missing"
check "every fault that must raise an alert has one" "$(cat "$place/missing")"

jq -e '
  (.title | type == "string") and (.uid | type == "string") and (.schemaVersion >= 36)
  and (.templating.list | map(.name) | contains(["datasource", "instance"]))
  and ((.panels | map(.id) | unique | length) == (.panels | length))
  and (.panels | all((.gridPos | (.w >= 1) and (.h >= 1) and (.x >= 0) and (.x + .w <= 24)) and (.title | length > 0)))
  and (.panels | map(select(.type != "row"))
       | all((.type | IN("timeseries", "stat", "table", "state-timeline")) and (.targets | length > 0)
             and (.targets | map(.refId) | length == (unique | length))
             and (.targets | all((.expr | length > 0) and (.datasource.type == "prometheus")))))' \
  "$dashboard" >/dev/null && wrong= || wrong="config/dashboard.json is not what Grafana takes"
check "the dashboard has the shape that Grafana takes" "$wrong"
check "no two panels lie on each other" "$(jq -r '
  [.panels[] | . as $p | $p.gridPos as $g | range($g.x; $g.x + $g.w) as $x | range($g.y; $g.y + $g.h) as $y
   | {at: "\($x)/\($y)", title: $p.title}] | group_by(.at) | map(select(length > 1) | map(.title) | join(" and "))
  | unique[]' "$dashboard")"

# Each panel's expressions as recording rules, so that Prometheus' own parser reads them.
{
  printf 'groups:\n  - name: panels\n    rules:\n'
  panel_expressions | jq -R -r '"      - {record: \"panel:\(input_line_number)\", expr: \(@json)}"'
} >"$place/panels.yml"
promtool check rules "$place/panels.yml" >"$place/check" 2>&1 && wrong= || wrong=$(cat "$place/check")
check "every expression of the dashboard parses" "$wrong"

# In the sources a name stands as a literal; those of a listener are put together from a prefix.
literals=$(grep -rhoE '"[a-z_]+"' --include='*.cpp' --include='*.hpp' "$root"/{telemetry,actors,supervisors,drills,apps} | tr -d '"' | sort -u)
check "every metric of rules and panels is made by the sources" "$({ rule_expressions; panel_expressions; } | metric_names | families | while read -r name; do
  grep -qx "$name" <<<"$literals" && continue
  part=${name#weir_ingest}
  [ "$part" != "$name" ] || part=${name#weir_control}
  [ "$part" != "$name" ] && grep -qx -- "$part" <<<"$literals" && continue
  echo "$name"
done)"
exit $((failures > 0))
