# `make` alone lists the verbs. All of them need Python >= 3.11 and a Rust toolchain, and nothing else.
#
#   PYTHONS="3.12 /opt/python3.14/bin/python3" make test     these Pythons only, instead of all that are found
#   PYTEST="-k timers -x" make pytest-3.12                    arguments for pytest
#   CARGO_TARGET_DIR=/tmp/target make …                       build elsewhere

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

# The Python that runs tools/: any that is new enough; the ones to build for are found by tools/pythons.py.
BOOT := $(firstword $(foreach name,python3 python3.15 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
ifeq ($(BOOT),)
$(error maypole needs Python 3.11 or newer: none of python3, python3.11 … python3.15 on PATH is)
endif

TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
# One Python serves the verbs that need only one: the newest found.
FIRST = $(lastword $(shell $(BOOT) tools/pythons.py --versions))
BUILD = $(BOOT) tools/build.py

# Cargo alone (no venv) never links the binding to libpython.
export PYO3_BUILD_EXTENSION_MODULE := 1

##@ The verbs
.PHONY: help demo test lint bench bench-quick docs clean
help: ## List the verbs
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z0-9-]*%?:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build in release and run the five tasks on asyncio and on maypole
	@python=$$($(BUILD) $(FIRST) --requirements build --profile release) && "$$python" tools/demo.py

test: test-rust test-loom test-conformance test-python ## Run every test on every supported Python found

lint: lint-rust lint-python ## Check format, lints, types, stubs and documentation links

bench: ## Measure against asyncio, uvloop and rloop (an hour); BENCH="…" passes arguments
	@python=$$($(BUILD) $(FIRST) --requirements build --profile trained) && \
		"$$python" -m pip install --quiet --disable-pip-version-check --requirement benches/requirements.txt && \
		"$$python" benches/run.py $(BENCH)

bench-quick: ## The same with the quick scenarios, in under five minutes
	@$(MAKE) bench BENCH="--quick $(BENCH)"

docs: ## Build the Rust documentation and list the rest
	@cargo doc --workspace --no-deps --quiet
	@echo "$(TARGET)/doc/maypole/index.html"
	@git ls-files '*.md'

clean: ## Remove everything that was built: target, venvs, caches
	rm -rf target .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis python/maypole/*.so
	find python tests tools benches -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Parts of make test
.PHONY: test-rust test-loom test-conformance test-python
test-rust: ## Unit, property and documentation tests of the crates
	@$(call say,cargo test)
	@$(CARGO) test --workspace --profile testing --quiet

test-loom: ## Every interleaving of the inbox and its wake-up
	@$(call say,loom)
	@RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(TARGET)/loom cargo test -p maypole-core --release --test loom --quiet

test-conformance: ## CPython's own asyncio tests, on every Python found
	@$(call on-every-python,conformance)

test-python: ## The project's Python tests, on every Python found
	@$(call on-every-python,pytest)

conformance-%: ## CPython's asyncio tests on one Python (conformance-3.12)
	@$(call say,CPython's own asyncio tests on Python $*)
	@python=$$($(BUILD) $* --with frameworks) && "$$python" tests/conformance/run.py --loop maypole:new_event_loop
	@$(call say,The same after maypole.install on Python $*)
	@python=$$($(BUILD) $* --with frameworks) && PYTHONPATH=$(CURDIR)/tests/natives "$$python" tests/conformance/run.py \
		--loop installed:new_event_loop --differences tests/conformance/accepted.toml \
		test_tasks test_locks test_queues test_streams test_subprocess

.PHONY: conformance-table suites
conformance-table: ## CPython's tests on every loop and Python, into docs/reference/conformance.md (an hour)
	@$(call on-every-python,conformance-table)

conformance-table-%: ## The same on one Python (conformance-table-3.12)
	@$(call say,The conformance table of Python $*)
	@python=$$($(BUILD) $* --with frameworks) && "$$python" tests/conformance/table.py

suites: ## The test suites of uvicorn, redis and others on maypole (an hour); SUITES="redis" runs some
	@python=$$($(BUILD) $(FIRST) --with frameworks) && "$$python" tests/conformance/suites.py $(SUITES)

pytest-%: ## The project's Python tests on one Python (pytest-3.12)
	@$(call say,pytest on Python $*)
	@python=$$($(BUILD) $* --with frameworks) && "$$python" -m pytest $(PYTEST)

##@ Harder tests, on one Python
.PHONY: torture hostile modes asan valgrind
torture: ## The torture suites twenty times, from twenty seeds; TIMES=3, MAYPOLE_TORTURE_ROUNDS=10
	@python=$$($(BUILD) $(FIRST)) && for seed in $$(seq 1 $(or $(TIMES),20)); do \
		echo "== seed $$seed"; MAYPOLE_TORTURE_SEED=$$seed "$$python" -m pytest -q tests/torture $(PYTEST); done

hostile: ## All Python tests in debug mode, with the debug allocator, and collecting at every allocation
	@$(call say,PYTHONASYNCIODEBUG=1)
	@python=$$($(BUILD) $(FIRST)) && PYTHONASYNCIODEBUG=1 "$$python" -m pytest -q -o timeout=600 $(PYTEST)
	@$(call say,PYTHONMALLOC=debug)
	@python=$$($(BUILD) $(FIRST)) && PYTHONMALLOC=debug "$$python" -m pytest -q -o timeout=600 $(PYTEST)
	@$(call say,gc.set_threshold(1))
	@python=$$($(BUILD) $(FIRST)) && "$$python" tests/torture/collecting.py $(PYTEST)

modes: ## Torture, frameworks, parity and transports with asyncio's tasks, and after install; PYTEST="…" chooses others
	@python=$$($(BUILD) $(FIRST) --with frameworks); failed=""; for mode in c installed; do \
		printf '\n== MAYPOLE_TEST_MODE=%s on Python %s\n' "$$mode" "$(FIRST)"; \
		MAYPOLE_TEST_MODE=$$mode PYTHONPATH=$(CURDIR)/tests/modes "$$python" -m pytest -q $(or $(PYTEST),$(IN_MODES)) \
			|| failed="$$failed $$mode"; done; test -z "$$failed" || { echo "failed in mode$$failed" >&2; exit 1; }

asan: ## A part of the Python tests with AddressSanitizer (needs nightly Rust and gcc); PYTEST="…" chooses others
	@python=$$($(BUILD) $(FIRST)) && $(BOOT) tools/memory_checks.py asan $(FIRST) "$$python" $(PYTEST)

valgrind: ## A part of the Python tests under valgrind; PYTEST="…" chooses others
	@python=$$($(BUILD) $(FIRST)) && $(BOOT) tools/memory_checks.py valgrind $(FIRST) "$$python" $(PYTEST)

##@ Parts of make lint
.PHONY: lint-rust lint-python
lint-rust: ## cargo fmt, clippy and rustdoc, warnings are errors
	@$(call say,cargo fmt$(comma) clippy$(comma) rustdoc)
	@cargo fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

lint-python: ## ruff, mypy --strict and stubtest
	@$(call say,ruff$(comma) mypy$(comma) stubtest)
	@python=$$($(BUILD) $(FIRST)) && "$$python" -m ruff check . && "$$python" -m ruff format --check . \
		&& "$$python" -m mypy && "$$python" -m mypy.stubtest maypole._maypole

##@ Smaller verbs
.PHONY: build wheel format
build: ## Build maypole into the venv of every Python found
	@versions=$$($(BOOT) tools/pythons.py --versions); for version in $$versions; do $(BUILD) $$version; done

wheel: ## Build the wheel that benchmarks measure, trained by a profile, and print its path (two minutes)
	@$(BUILD) $(FIRST) --requirements build --wheel

format: ## Format all code in place
	@cargo fmt --all
	@python=$$($(BUILD) $(FIRST)) && "$$python" -m ruff check --fix-only --quiet . && "$$python" -m ruff format .

IN_MODES = tests/torture tests/frameworks tests/parity tests/transports
CARGO = PYO3_PYTHON="$$($(BOOT) tools/pythons.py $(FIRST))" cargo
comma := ,
# Run one verb on every Python found; the others still run when it fails on one.
on-every-python = versions=$$($(BOOT) tools/pythons.py --versions); failed=""; for version in $$versions; do \
	$(MAKE) $(1)-$$version || failed="$$failed $$version"; done; \
	test -z "$$failed" || { echo "$(1) failed on Python$$failed" >&2; exit 1; }
say = printf '\n== %s\n' "$(1)"
