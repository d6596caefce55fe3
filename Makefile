# The commands of this project. Each fetches what it needs first; `make` alone lists them.

SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := help

# What scripts/setup.sh fetched comes before what the machine has.
export PATH := $(CURDIR)/.tools/bin:$(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# make up NODES=5 DATA=/var/tmp/fleet
NODES ?= 3
DATA ?= .dev
BIN := $(or $(CARGO_TARGET_DIR),target)/release
export NODES DATA BIN

# make soak SOAK=1h
SOAK ?= 10m

# make fuzz FUZZ=1h
FUZZ ?= 10m
export FUZZ

# sudo make install PREFIX=/opt/ostler
PREFIX ?= /usr/local

PROGRAMS := ostler ostler-registry ostler-scheduler ostler-gateway ostler-metrics ostler-executor

.PHONY: help up down build install test soak fuzz bench lint audit fmt

help: ## This list
	@echo 'Ostler: runs work on a fleet of machines and keeps it running.'
	@echo
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16
	@echo
	@echo 'New here? `make up`, then README.md.  About to change something? CONTRIBUTING.md.'

up: ## Build and start a three-node fleet on this machine, run a sample on it, say where to look
	@scripts/setup.sh run
	cargo build --release --locked $(addprefix --package ,$(PROGRAMS))
	@scripts/up.sh

down: ## Stop that fleet; what it knows stays in .dev
	@scripts/down.sh

build: ## Build all programs into target/release
	@scripts/setup.sh build
	cargo build --release --locked $(addprefix --package ,$(PROGRAMS) ostler-loadtest)

install: ## Copy what was built to /usr/local/bin
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(addprefix $(BIN)/,$(PROGRAMS))

test: ## Run all tests, on real NATS servers, databases and processes
	@scripts/setup.sh test
	cargo nextest run --workspace --locked --no-tests fail
	cargo test --workspace --locked --doc --quiet

soak: ## Look for bugs with ever new seeds, of the simulation and then of faults on a real bus, for 10m each or as long as SOAK says
	@scripts/setup.sh test
	FROM=$${FROM:-$$(date +%s)} SOAK=$(SOAK) \
		cargo test --release --locked --package ostler-core --test sim -- --nocapture
	SEED=$${FROM:-$$(date +%s)} SOAK=$(SOAK) \
		cargo test --locked --package ostler --test it faults::chaos -- --nocapture

fuzz: ## Feed whatever reads what comes in with what nobody would write, for 10m each or as long as FUZZ says
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh

bench: ## Measure a selection in about ten minutes, beside what loadtest/BASELINE.json has
	@scripts/setup.sh run
	cargo build --release --locked --package ostler-loadtest
	@scripts/bench.sh

lint: ## Format, clippy, licences and doors, and the rules of CONTRIBUTING.md
	@scripts/setup.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo deny --locked check bans licenses sources
	cargo xtask tidy

audit: ## Ask the advisory database about our dependencies (needs a network)
	@scripts/setup.sh lint
	cargo deny --locked check advisories

fmt: ## Format the code
	cargo fmt --all
