#!/usr/bin/env bash
# Measures a selection in about ten minutes and shows the difference to loadtest/BASELINE.json.
#
# Called by `make bench` with the folder of the binaries in BIN. `WRITE=1 make bench` keeps the figures,
# `ONLY='place|api' make bench` measures what is called so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# measure <name> <scenario> [option]…
measure() {
    local name=$1
    shift
    [[ $name =~ ${ONLY:-.} ]] || return 0
    printf '\n── %s: ostler-loadtest %s\n' "$name" "$*"
    "$BIN/ostler-loadtest" "$@" --json "$out/$name.json"
}

measure engine-5000 engine
measure engine-spread engine --nodes 10000 --case spread
measure engine-anti-affinity engine --case anti-affinity
measure engine-explain engine --nodes 10000 --case explain
measure engine-copy engine --nodes 10000 --case copy
measure place-1000 place --nodes 1000 --instances 100000
measure place-1000-replicas-3 place --nodes 1000 --instances 100000 --replicas 3 --alone
measure spawn spawn --seconds 5
measure latency latency --rounds 100
measure failover-1000 failover --nodes 1000 --rounds 3
measure leader leader
measure api api
measure heartbeats-1000 heartbeats --nodes 1000 --seconds 60
measure footprint footprint --settle 30 --seconds 30
measure pressure pressure --seconds 5

printf '\n'
"$BIN/ostler-loadtest" compare --baseline loadtest/BASELINE.json ${WRITE:+--write} "$out"/*.json
