#!/usr/bin/env bash
# Makes the images that compose.yaml would otherwise pull, where no image registry can be reached:
# a Debian by debootstrap, the same with this machine's Rust, NATS and PostgreSQL upon it.
#
#   sudo deploy/docker/build-base.sh
#   docker compose --env-file .tools/images.env up --build
#
# Needs root, debootstrap and a docker daemon. SUITE is the Debian to take.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly SUITE=${SUITE:-bookworm}
readonly BASE=ostler-base:$SUITE BUILDER=ostler-builder:$SUITE
readonly NATS=ostler-nats:$SUITE POSTGRES=ostler-postgres:$SUITE

for tool in debootstrap docker rustc; do
    command -v "$tool" >/dev/null || { echo "build-base: $tool is missing" >&2; exit 1; }
done
scripts/setup.sh run
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base() {
    debootstrap --variant=minbase --include=ca-certificates,curl,git,make "$SUITE" "$work/tree" >&2
    rm -rf "$work"/tree/var/cache/apt/archives/*.deb "$work"/tree/var/lib/apt/lists/*
    tar -C "$work/tree" -c . | docker import --change 'CMD ["/bin/bash"]' - "$BASE"
}

# Rust as it is here, and the certificates that this site trusts besides Debian's.
builder() {
    local site=/usr/local/share/ca-certificates
    mkdir -p "$work/builder/certificates"
    find "$site" -name '*.crt' -exec cp -t "$work/builder/certificates" {} +
    cp -a "$(rustc --print sysroot)" "$work/builder/rust"
    docker build -t "$BUILDER" -f - "$work/builder" <<END
FROM $BASE
COPY certificates/ $site/
RUN update-ca-certificates
COPY rust/ /usr/local/
END
}

nats() {
    mkdir "$work/nats"
    cp "$(PATH="$PWD/.tools/bin:$PATH" command -v nats-server)" "$work/nats/nats-server"
    docker build -t "$NATS" --build-arg BASE="$BASE" -f deploy/docker/nats.Dockerfile "$work/nats"
}

postgres() {
    docker build -t "$POSTGRES" --build-arg BASE="$BASE" -f deploy/docker/postgres.Dockerfile deploy/docker
}

base
builder
nats
postgres
cat >.tools/images.env <<END
OSTLER_BASE=$BASE
OSTLER_BUILDER=$BUILDER
OSTLER_NATS_IMAGE=$NATS
OSTLER_POSTGRES_IMAGE=$POSTGRES
END
echo "build-base: done; docker compose --env-file .tools/images.env up --build"
