# What people and CI run here; `make` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help quickstart test lint bench soak deps

help: ## lists these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

quickstart: ## a registry with seawall in front of it on this machine (ONESHOT=1: check and stop, RELEASE=1: optimised)
	@scripts/install-deps.sh quickstart
	@scripts/quickstart.sh

test: ## every test, real registries and clients included
	@scripts/install-deps.sh test
	cargo test --locked --no-fail-fast
	@cat target/tools/not-checked 2>/dev/null || true

lint: ## format, clippy, docs, licences, advisories
	@scripts/install-deps.sh lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --test soak -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	cargo fetch --locked
	scripts/deny.sh
	@! grep -rnE '^[[:space:]]*#\[ignore' src tests benches 2>/dev/null || { echo 'an ignored test proves nothing' >&2; exit 1; }

bench: ## the benchmarks
	cargo bench --locked --benches

soak: ## a 5 GiB blob, 1,000 reloads under pulls, 10,000 writes with kills, a minute without the database (long)
	@scripts/install-deps.sh test
	cargo test --locked --release --test soak -- --nocapture
	MANAGEMENT_WRITES=10000 cargo test --locked --release --test it management::durability -- --nocapture
	OUTAGE_SECONDS=60 cargo test --locked --release --test it management::replicas -- --nocapture

deps: ## installs what all of the above need
	@scripts/install-deps.sh all
