#!/usr/bin/env bash
# Where the time of a running program goes, as a picture: flame graph on standard output.
#
#   scripts/flamegraph.sh PID SECONDS TITLE > graph.svg
#
# Needs perf (Debian: linux-perf), the right to use it, and inferno (`cargo install inferno`).
set -euo pipefail
[ $# -eq 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for program in perf inferno-collapse-perf inferno-flamegraph; do
  command -v "$program" > /dev/null || { echo "flamegraph.sh: $program is missing" >&2; exit 1; }
done

data=$(mktemp)
trap 'rm -f "$data"' EXIT
perf record --quiet --output "$data" --freq 999 --call-graph dwarf,8192 --pid "$1" -- sleep "$2" >&2
# What few samples are in is not worth its room.
perf script --input "$data" 2> /dev/null | inferno-collapse-perf --quiet |
  inferno-flamegraph --minwidth 0.3 --width 1200 --title "$3"
