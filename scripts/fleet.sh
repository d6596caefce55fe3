# shellcheck shell=bash
# What up.sh and down.sh know together: where the fleet of this folder is, and whether it runs.

: "${NODES:=3}" "${DATA:=.dev}" "${BIN:=target/release}"
readonly NODES DATA BIN
# shellcheck disable=SC2034  # for those who source this
readonly LOG=$DATA/ostler.log
readonly PID_FILE=$DATA/ostler.pid

# Whether the recorded pid is ours; a pid alone may be anybody's by now.
fleet_runs() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" |
        grep -q 'ostler dev '
}

fleet_is_gone() { ! fleet_runs; }

# wait_for <what> <seconds> <command>…: until the command succeeds; fails when the time is over, or
# sooner when the fleet's process is no more.
wait_for() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    printf 'waiting for %s ' "$what"
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ] || ! [ -e "/proc/$(cat "$PID_FILE")" ]; then
            break
        fi
        printf '.'
        sleep 0.2
    done
    echo
    "$@"
}
