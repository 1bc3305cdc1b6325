# Commonview. The two commands of the README are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := build/stamps
SECONDS_EACH ?= 600
# Tests of browsers, killed servers, foreign peers, the conformance tester, and whole matrices played at once.
ALONE := e2e faults interop conformance loopback

# One stamp for each place that checkouts of foreign programs are taken from.
PEERS := $(STAMPS)/peers$(subst /,-,$(COMMONVIEW_PEER_SOURCES))

INTEROP_TESTS := $(shell grep -rl --include='test_*.py' 'mark\.interop' tests | sort)

RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print 2>/dev/null)
WEB_SOURCES := $(shell find web -name node_modules -prune -o -name dist -prune -o -type f -print 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: run
run: $(STAMPS)/run ## build what is missing, then start Commonview and six simulated cameras
	@exec $(BIN)/python scripts/run.py $(RUN_ARGS)

.PHONY: test
test: check $(STAMPS)/test-packages ## every check and every test
	@echo "== Rust tests"
	cargo test --locked --quiet
	echo "== console unit tests"
	npm --prefix web run --silent test
	echo "== Python tests, two side by side"
	scripts/twice.sh $(BIN)/python -m pytest -n 2 -m 'not soak' $(foreach each,$(ALONE),--ignore=tests/$(each)) $(PYTEST_ARGS)
	echo "== tests that want the machine to themselves, one after the other"
	scripts/twice.sh $(BIN)/python -m pytest -m 'not soak' $(ALONE:%=tests/%) $(PYTEST_ARGS)

.PHONY: check
check: $(STAMPS)/dev ## formatting, lints, types, floors
	@echo "== Python: ruff, mypy, import-linter"
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	echo "== Rust: rustfmt, clippy"
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets --features python -- -D warnings
	echo "== console: types, eslint, translations"
	npm --prefix web run --silent check

.PHONY: format
format: $(STAMPS)/dev ## rewrite sources in the house format
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .
	cargo fmt

.PHONY: bench
bench: $(STAMPS)/dev $(STAMPS)/test-packages ## every benchmark, each beside its floor
	@$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: fuzz
fuzz: $(STAMPS)/dev $(STAMPS)/fuzz ## every fuzz target, SECONDS_EACH=600 each
	@scripts/fuzz.sh $(SECONDS_EACH) $(FUZZ_TARGETS)

.PHONY: interop
interop: $(STAMPS)/dev $(STAMPS)/interop-packages $(PEERS) ## only the tests that drive foreign peers, which are built first
	@status=0
	rm -f build/interop*.xml
	$(BIN)/python -m pytest -m interop --junitxml=build/interop1.xml $(INTEROP_TESTS) || {
		echo "== what failed, once more by itself"
		$(BIN)/python -m pytest -m interop --last-failed --junitxml=build/interop2.xml $(INTEROP_TESTS) || status=$$?
	}
	echo "== the conformance tester against the peers that were built"
	$(BIN)/python scripts/interop_matrix.py build/interop?.xml
	$(BIN)/python scripts/conformance.py
	exit $$status

.PHONY: soak
soak: $(STAMPS)/dev $(STAMPS)/test-packages ## what takes long: servers killed in the middle of everything, disks that fail, two hours of coming and going
	@$(BIN)/python -m pytest -m soak tests

.PHONY: openapi
openapi: $(STAMPS)/dev ## write web/openapi.json and the typed client from the API
	$(BIN)/python -m commonview.api.openapi > web/openapi.json
	npm --prefix web run --silent generate

.PHONY: lock
lock: $(STAMPS)/venv ## pin the newest allowed Python packages again
	$(BIN)/pip install --quiet pip-tools
	compile() { $(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --allow-unsafe --strip-extras --no-header "$$@" pyproject.toml; }
	compile --extra simulator --extra rendering --extra build --extra dev -o requirements/dev.txt
	compile -c requirements/dev.txt --extra simulator --extra rendering --extra build -o requirements/run.txt
	compile -c requirements/dev.txt --extra fuzz -o requirements/fuzz.txt

.PHONY: clean
clean: ## remove everything that was built (data/ stays)
	rm -rf build target $(VENV) web/node_modules web/dist src/commonview/media/*.so crates/media/fuzz/target

# ---- set-up, each step once, and again only when its inputs change

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	echo "== Python environment in $(VENV)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Commonview needs Python 3.11 or newer; name one with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(STAMPS)/packages-run: $(STAMPS)/venv requirements/run.txt
	@echo "== Python packages (pinned by hash)"
	$(BIN)/pip install --quiet --require-hashes -r requirements/run.txt
	touch $@

$(STAMPS)/packages-dev: $(STAMPS)/venv requirements/dev.txt
	@echo "== Python packages for checks and tests (pinned by hash)"
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(STAMPS)/rust:
	@scripts/need.sh cargo "the Rust tool chain (rustup.rs, stable)"
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/node:
	@scripts/need.sh node "Node.js 20 or newer"
	scripts/need.sh npm "npm"
	mkdir -p $(STAMPS)
	touch $@

# The Rust core is built into the package's folder, and the package installed in place.
$(STAMPS)/media: $(STAMPS)/rust $(RUST_SOURCES) pyproject.toml | $(STAMPS)/packages-run
	@echo "== media core (Rust, release build; a few minutes the first time)"
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --locked
	touch $@

$(STAMPS)/web-packages: $(STAMPS)/node web/package.json web/package-lock.json
	@echo "== console packages (pinned)"
	npm --prefix web ci --silent --no-audit --no-fund
	touch $@

$(STAMPS)/web: $(STAMPS)/web-packages $(WEB_SOURCES)
	@echo "== console (web build)"
	npm --prefix web run --silent build
	touch $@

$(STAMPS)/run: $(STAMPS)/packages-run $(STAMPS)/media $(STAMPS)/web
	@touch $@

$(STAMPS)/dev: $(STAMPS)/packages-run $(STAMPS)/packages-dev $(STAMPS)/media $(STAMPS)/web
	@touch $@

$(STAMPS)/test-packages: scripts/test-packages.sh
	@scripts/test-packages.sh
	touch $@

$(STAMPS)/interop-packages: scripts/test-packages.sh
	@mkdir -p $(STAMPS)
	scripts/test-packages.sh interop
	touch $@

PEER_SOURCES := scripts/build-peers.sh $(shell find tests/interop/peers -name target -prune -o -type f ! -name '*.py' ! -name '*.pyc' -print 2>/dev/null)

$(PEERS): $(PEER_SOURCES) | $(STAMPS)/interop-packages
	@mkdir -p $(STAMPS)
	rm -f $(STAMPS)/peers*
	scripts/build-peers.sh
	touch $@

$(STAMPS)/fuzz: requirements/fuzz.txt $(STAMPS)/packages-dev
	@echo "== fuzzing packages (pinned by hash)"
	$(BIN)/pip install --quiet --require-hashes -r requirements/fuzz.txt
	touch $@
