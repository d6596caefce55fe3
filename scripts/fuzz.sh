#!/usr/bin/env bash
# Runs every fuzz target for as long as FUZZ says (10m, 1h, 90s); what was found lies in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"

seconds() {
    local number=${1%[smh]}
    case $1 in
        *h) echo $((number * 3600)) ;;
        *m) echo $((number * 60)) ;;
        *) echo "$number" ;;
    esac
}

failed=()
for target in texts words wire tar; do
    printf '\n── %s for %s\n' "$target" "$FUZZ"
    mkdir -p "corpus/$target"
    # The code is safe: what counts is a panic, and memory that grows.
    cargo +nightly fuzz run --sanitizer none --features tar "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$(seconds "$FUZZ")" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -print_final_stats=1 || failed+=("$target")
done
[ ${#failed[@]} = 0 ] || { printf 'found something: %s\n' "${failed[*]}" >&2; exit 1; }
