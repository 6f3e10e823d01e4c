# shellcheck shell=bash
# What the rules and the dashboard are made of. Sourced by the tests beside it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rules=$root/config/alerts.yml
dashboard=$root/config/dashboard.json
runbooks=$root/docs/operations.md
failures=0

check() { # DESCRIPTION OFFENCES: passes if there are none
  if [ -z "$2" ]; then
    printf 'ok: %s\n' "$1"
  else
    printf 'FAILED: %s\n%s\n' "$1" "$2"
    failures=$((failures + 1))
  fi
}

# Every expression, one a line. The dashboard's variables are filled in as Grafana does.
rule_expressions() { sed -n 's/^ *expr: //p' "$rules"; }
panel_expressions() {
  # shellcheck disable=SC2016 # these are the names of Grafana's variables
  jq -r '.panels[].targets[]?.expr' "$dashboard" | sed -e 's/\$__rate_interval/1m/g' -e 's/\$instance/.*/g'
}

# The metrics that expressions on standard input name; label values are none.
metric_names() {
  sed -E -e 's/"[^"]*"//g' | grep -oE '\b(weir|process)_[a-z0-9_]+' | sort -u
}

# A histogram is one family with three suffixes.
families() { sed -E 's/_(bucket|sum|count)$//' | sort -u; }
