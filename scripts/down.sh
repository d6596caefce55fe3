#!/usr/bin/env bash
# Stops the fleet that `make up` started, and with it every instance; what it knows is kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/fleet.sh
source scripts/fleet.sh

if ! fleet_runs; then
    echo "No fleet of this folder is up."
    exit 0
fi
pid=$(cat "$PID_FILE")
kill -INT "$pid"
if ! wait_for "the fleet to stop" 60 fleet_is_gone; then
    echo "pid $pid still runs; its log is $LOG" >&2
    exit 1
fi
rm -f "$PID_FILE"
echo "The fleet is down. What it knows is in $DATA: \`make up\` carries on, \`rm -r $DATA\` forgets."
