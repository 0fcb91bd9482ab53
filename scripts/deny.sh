#!/usr/bin/env bash
# Licences, bans and sources of every dependency, and advisories where a database is at hand. Uses no network.
#
# CARGO_DENY names another cargo-deny; ADVISORY_DB another folder of advisory databases (cargo-deny's `db-path`).
set -euo pipefail
cd "$(dirname "$0")/.."

deny=${CARGO_DENY:-$PWD/target/tools/bin/cargo-deny}
if [ ! -x "$deny" ]; then deny=$(command -v cargo-deny) || { echo "cargo-deny is missing: run \`make deps\`" >&2; exit 1; }; fi

"$deny" --offline --locked check --hide-inclusion-graph bans licenses sources

databases=${ADVISORY_DB:-${CARGO_HOME:-$HOME/.cargo}/advisory-dbs}
newest=$(find "$databases" -mindepth 2 -maxdepth 2 -name .git -printf '%h\n' 2>/dev/null | sort | tail -n 1 || true)
if [ -z "$newest" ]; then
  echo "advisories: skipped, no database at hand"
  exit 0
fi
echo "advisories: database of $(git -C "$newest" log -1 --format='%cs, %cr')"
"$deny" --offline --locked check --hide-inclusion-graph --disable-fetch advisories
