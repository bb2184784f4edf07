# `make` lists what there is.
COMPOSE ?= docker compose
CARGO ?= cargo
# For one-shot runs, as in `make gc ARGS="--output json"`.
ARGS ?=

# Tests wait more than they compute: for a second where a write may be in progress, and for a registry.
export NEXTEST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# What is fuzzed, and for how long each.
FUZZ_TARGETS ?= manifest names trash registry_config
FUZZ_SECS ?= 60
.PHONY: help build up down logs ps gc audit demo test test-code test-unit test-integration test-cifs test-compose fmt lint docs bench fuzz soak stock-losses deps clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

## The stack (Docker with Compose 2.24 or newer)

build: ## Build the janitor's image
	$(COMPOSE) build

up: ## Start the registry and the janitor, wait until both are healthy
	$(COMPOSE) up --detach --build --wait

down: ## Stop both; the store stays
	$(COMPOSE) down

logs: ## Follow the logs
	$(COMPOSE) logs --follow --tail 100

ps: ## Show the state of both
	$(COMPOSE) ps

# Settings come from the shell, .env and the defaults, in this order: KEEP_LAST_N=3 make gc
gc: ## One sweep now, also beside the running loop
	$(COMPOSE) run --rm --no-deps -T -e RUN_ONCE=true -e DRY_RUN=false janitor $(ARGS)

audit: ## Say what a sweep would remove and why; changes nothing
	$(COMPOSE) run --rm --no-deps -T -e RUN_ONCE=true -e DRY_RUN=true janitor $(ARGS)

## Without Docker

demo: ## Show a sweep on a real registry, from nothing, without Docker
	@scripts/demo.sh

## Development

test: deps lint docs test-code test-cifs test-compose ## Everything: format, lints, docs, all tests, network mounts, the stack on Docker

test-code: deps ## All tests but the stack on Docker
	$(CARGO) nextest run --workspace --locked
	$(CARGO) test --workspace --locked --doc

test-unit: deps ## Unit tests only
	$(CARGO) nextest run --workspace --locked --lib --bins

test-integration: deps ## Tests on a real registry, then the stack on Docker
	$(CARGO) nextest run --workspace --locked --test '*'
	scripts/compose-test.sh

# On other systems than Debian and Ubuntu on x86_64 it says why it is skipped; CIFS_TEST=required fails there.
test-cifs: ## Only the tests on real CIFS and NFS mounts, in user-mode Linux: make test-cifs ARGS=locks
	scripts/cifs-test.sh $(ARGS)

test-compose: ## Only the stack on Docker
	scripts/compose-test.sh

fmt: ## Format the code
	$(CARGO) fmt --all

lint: ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

docs: ## Build the documentation of the code
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --locked --no-deps --document-private-items

bench: ## Measure against the stock collector and `find` (needs FUSE)
	$(CARGO) bench --locked --bench performance -- --page docs/performance.md $(ARGS)

# Without a sanitizer, a stable toolchain does: the coverage that libFuzzer goes by comes of flags that are stable, and
# there is no unsafe code here for a sanitizer to watch. What is found goes to fuzz/artifacts, new inputs to fuzz/corpus.
fuzz: ## Fuzz the parsers, all of them in turn: make fuzz FUZZ_SECS=600
	@scripts/deps.sh fuzz
	failed=; for target in $(FUZZ_TARGETS); do \
		$(CARGO) fuzz run --sanitizer none $$target -- -max_total_time=$(FUZZ_SECS) || failed="$$failed $$target"; \
	done; test -z "$$failed" || { echo "found something:$$failed" >&2; exit 1; }

soak: deps ## Push and pull beside sweeps for longer: SOAK_SECS=900 make soak
	$(CARGO) nextest run --locked --test soak --success-output immediate $(ARGS)

stock-losses: ## Show what the registry's own collector loses beside pushes and deletes
	@scripts/stock-losses.sh

deps: ## Install what the tests need (Debian, Ubuntu)
	@scripts/deps.sh registry skopeo strace fuse nextest

clean: ## Remove what was built here
	$(CARGO) clean
	rm -rf dist
