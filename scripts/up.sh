#!/usr/bin/env bash
# Starts a fleet on this machine in the background, runs the sample workload and says where to look.
#
# Called by `make up` with the folder of the binaries in BIN; NODES and DATA as the Makefile has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/fleet.sh
source scripts/fleet.sh

readonly READY=$DATA/ready.json
readonly SAMPLE=examples/web.toml

start() {
    mkdir -p "$DATA"
    rm -f "$READY"
    # A session of its own: Ctrl-C at this terminal is not meant for the fleet. And no signal ignored,
    # as bash has it for what runs in the background: the instances would inherit that.
    setsid env --default-signal "$BIN/ostler" dev --nodes "$NODES" --data "$DATA" --ready-file "$READY" \
        </dev/null >"$LOG" 2>&1 &
    echo $! >"$PID_FILE"
    wait_for "a fleet of $NODES nodes" 60 test -s "$READY" || {
        tail -n 20 "$LOG" >&2
        echo "the fleet did not start; its log is $LOG" >&2
        exit 1
    }
}

if fleet_runs; then
    echo "The fleet is already up (pid $(cat "$PID_FILE")). \`make down up\` starts what was just built."
else
    start
fi

OSTLER_SERVER=$(sed -n 's/.*"server" *: *"\([^"]*\)".*/\1/p' "$READY")
export OSTLER_SERVER

run() {
    printf '\n$ ostler %s\n' "$*"
    "$BIN/ostler" "$@"
}
failed=0
run run "$SAMPLE" || failed=$?
run ps
run nodes list

cat <<END

Ostler is up at $OSTLER_SERVER, and stays up.
  see more    export PATH="$(realpath "$BIN"):\$PATH"; ostler explain web; ostler logs web; ostler --help
  over HTTP   curl $OSTLER_SERVER/v1/status
  its log     $LOG
  stop it     make down          (what it knows stays in $DATA; \`make up\` carries on)
END
exit "$failed"
