# What people and CI run here; `make` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help quickstart test lint bench microbench soak deps

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

# What measures need not be optimised, what is measured is: see benches/peers/main.rs. bash would count SECONDS up.
bench: ## seawall beside nginx, HAProxy and Distribution (ROUNDS, SECONDS, ONLY=part, CHECK=1)
	@scripts/install-deps.sh bench
	@env $(if $(ROUNDS),ROUNDS=$(ROUNDS)) $(if $(SECONDS),SECONDS=$(SECONDS),-u SECONDS) cargo bench --locked --profile dev --bench peers

microbench: ## what single steps take
	cargo bench --locked $(patsubst %,--bench %,$(filter-out peers,$(shell sed -n '/^\[\[bench/{n;s/name = "\(.*\)"/\1/p}' Cargo.toml)))

soak: ## a 5 GiB blob, 1,000 reloads under pulls, 10,000 writes with kills, a minute without the database (long)
	@scripts/install-deps.sh test
	cargo test --locked --release --test soak -- --nocapture
	MANAGEMENT_WRITES=10000 cargo test --locked --release --test it management::durability -- --nocapture
	OUTAGE_SECONDS=60 cargo test --locked --release --test it management::replicas -- --nocapture

deps: ## installs what all of the above need
	@scripts/install-deps.sh all
