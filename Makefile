# Weir: everything that a person or CI runs. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Asked for by the one rule that needs it, since looking takes a moment. PYTHON=… overrides.
PYTHON ?= $(shell python3 local/find_python.py)
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := libs/common proto services/ingest services/fraud services/anomaly services/analytics services/compliance services/tenant-admin gateway local bench
EDITABLE := $(foreach member,$(MEMBERS),-e $(member))
LOCKS := $(wildcard requirements/*.lock)
PROJECTS := $(foreach member,$(MEMBERS),$(member)/pyproject.toml)
TEST_STATE := $(CURDIR)/.weir-test
CHAOS_STATE := $(CURDIR)/.weir-chaos
SOURCES := libs services gateway local bench tests k8s proto/generate.py conftest.py

# ── everyday ─────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^# ── / {gsub(/─/, ""); printf "\n%s\n", substr($$0, 4)} /^[a-z][a-zA-Z0-9_-]*:.*## / {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.installed ## Install everything into .venv, every package checked by its hash

$(VENV)/.installed: requirements/bootstrap.lock requirements/dev.lock $(PROJECTS)
	@echo "setting up $(VENV) (the first time about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/uv pip sync --quiet --require-hashes requirements/dev.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

.PHONY: demo
demo: setup ## Start the mesh and replay two days of real purchases with attacks mixed in; writes .weir/demo-report.json
	@$(BIN)/weir up
	@$(BIN)/weir demo

.PHONY: up down status logs
up: setup ## Start the native mesh (ARGS="--kubernetes" adds the control plane)
	@$(BIN)/weir up $(ARGS)
down: setup ## End the mesh; data stay (ARGS="--purge" deletes them)
	@$(BIN)/weir down $(ARGS)
status: setup ## Ask every component
	@$(BIN)/weir status $(ARGS)
logs: setup ## Show logs (ARGS="-f ingest" follows one)
	@$(BIN)/weir logs $(ARGS)

# ── checks and tests ─────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: check
check: setup ## Lint, types, protobuf, generated code, our own rules
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy $(foreach member,$(filter-out proto,$(MEMBERS)),$(wildcard $(member)/weir_*)) k8s/generate.py
	@cd proto && $(CURDIR)/$(BIN)/buf lint && $(CURDIR)/$(BIN)/buf breaking --against baseline.json
	@$(BIN)/python -m weir_local.lint
	@rm -rf .weir-proto && mkdir .weir-proto && $(BIN)/python proto/generate.py .weir-proto && diff -r -x '__pycache__' .weir-proto/weir proto/gen/weir \
		|| (rm -rf .weir-proto; echo "proto/gen is not what the .proto files give: make proto"; exit 1)
	@rm -rf .weir-proto

.PHONY: test-unit
test-unit: setup ## Tests that open no socket
	@$(BIN)/python -m pytest -q -m "not integration and not e2e and not kubernetes"

.PHONY: replay-set
replay-set: setup ## Decide the next set of decisions that every later release must replay byte for byte; commit it beside the others
	@$(BIN)/python -m weir_fraud.replay_set services/fraud/tests/replay_sets/v$$(( $$(ls services/fraud/tests/replay_sets | wc -l) + 1 ))

.PHONY: test
test: check test-unit ## Everything: checks, unit tests, then integration and end-to-end tests on a mesh of their own
	@$(BIN)/python -m weir_local.testrun

.PHONY: proto
proto: setup ## Generate proto/gen from the .proto files
	@$(BIN)/python proto/generate.py

.PHONY: proto-baseline
proto-baseline: setup ## Accept the present .proto files as what later changes must be compatible with
	@cd proto && $(CURDIR)/$(BIN)/buf build -o baseline.json

.PHONY: manifests
manifests: setup ## Write what docker-compose.yml and k8s/ take from the code (services' variables, Envoy's configuration)
	@$(BIN)/python k8s/generate.py
	@$(BIN)/python -m weir_local.compose write

.PHONY: compose-secrets
compose-secrets: setup ## Make passwords, keys and certificates for docker-compose.yml, in .weir-compose/
	@$(BIN)/python -m weir_local.compose secrets

.PHONY: test-compose
test-compose: setup ## Build the images and bring docker-compose.yml up with podman (as root, Debian; 15 minutes)
	@$(BIN)/python -m weir_local.compose.bring_up

.PHONY: format
format: setup ## Format the code
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

# ── benches ──────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: bench-smoke
bench-smoke: setup ## 1,000 full-size events/s for 60 s through the gateway, every consumer keeping up; writes .weir/bench/smoke.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.smoke $(ARGS)

.PHONY: bench-ingest
bench-ingest: setup ## Full-size events of 50 tenants to the knee, then 5 minutes at 80 % of it, everything on; writes .weir/bench/ingest.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.ingest $(ARGS)

.PHONY: bench-neighbour
bench-neighbour: setup ## What a tenant that sends 50 times as much does to a quiet one's latency; writes .weir/bench/neighbour.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.neighbour $(ARGS)

.PHONY: bench-receipts
bench-receipts: setup ## Memory of a million receipts in Valkey; writes .weir/bench/receipts.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.receipts

.PHONY: bench-handbook
bench-handbook: setup ## Payments of the Fraud Detection Handbook into the features, against the published values; writes .weir/bench/handbook.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.handbook $(ARGS)

.PHONY: bench-fraud
bench-fraud: setup ## Decisions under load, open loop, alone and beside ingest; features beside Feast's; writes .weir/bench/fraud.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.fraud $(ARGS)

.PHONY: bench-yardstick
bench-yardstick: setup ## What a bare prototype takes on this machine, beside what a like one took where the bounds were set; writes .weir/bench/yardstick.json
	@$(BIN)/python -m weir_bench.yardstick

.PHONY: chaos-ingest
chaos-ingest: setup ## Kill, hold and cut off every part while clients send, on a mesh of its own; writes .weir/chaos/ingest.json
	@export WEIR_STATE_DIR="$(CHAOS_STATE)"; trap '$(BIN)/weir down --purge >/dev/null' EXIT; \
		$(BIN)/weir down --purge >/dev/null; $(BIN)/weir up --links; \
		env -u WEIR_STATE_DIR $(BIN)/python -m weir_bench.chaos $(ARGS)

.PHONY: chaos-decisions
chaos-decisions: setup ## Kill and hold what decides while shops ask for decisions, on a mesh of its own; writes .weir/chaos/decisions.json
	@export WEIR_STATE_DIR="$(CHAOS_STATE)"; trap '$(BIN)/weir down --purge >/dev/null' EXIT; \
		$(BIN)/weir down --purge >/dev/null; $(BIN)/weir up; \
		env -u WEIR_STATE_DIR $(BIN)/python -m weir_bench.chaos.decisions $(ARGS)

.PHONY: bench-peers
bench-peers: setup ## Drain one topic with faust, Quix Streams, Bytewax, FastStream and ours; writes .weir/bench/peers.json
	@$(BIN)/python -m weir_bench.peers $(ARGS)

# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────

.PHONY: fuzz-api
fuzz-api: setup ## Every operation of the six services with 500 made-up requests and more, all checks; writes .weir/fuzz/api.json
	@$(BIN)/weir up
	@$(BIN)/python -m weir_bench.fuzz.api $(ARGS)

.PHONY: fuzz-decoder
fuzz-decoder: setup .venv-fuzz/.installed ## Bodies and events, mutated by what code they reach (ARGS="--seconds 600"); writes .weir/fuzz/decoder.json
	@PYTHONPATH=.venv-fuzz $(BIN)/python -m weir_bench.fuzz.decoder $(ARGS)

.venv-fuzz/.installed: requirements/fuzz.lock
	@$(BIN)/uv pip install --quiet --require-hashes --target .venv-fuzz -r requirements/fuzz.lock
	@touch $@

# ── dependencies ─────────────────────────────────────────────────────────────────────────────────────────────────────

COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	--no-emit-package weir-common --no-emit-package weir-proto --no-emit-package weir-gateway --no-emit-package weir-local --no-emit-package weir-anomaly --no-emit-package weir-analytics --no-emit-package weir-ingest

.PHONY: lock
lock: ## Resolve every dependency anew and write requirements/*.lock (hashes, no addresses)
	@$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.lock
	@$(COMPILE) requirements/dev.in $(PROJECTS) -o requirements/dev.lock
	@for service in ingest fraud anomaly analytics compliance tenant-admin; do \
		$(COMPILE) -c requirements/dev.lock libs/common/pyproject.toml proto/pyproject.toml services/$$service/pyproject.toml -o requirements/$$service.lock; done
	@$(COMPILE) -c requirements/dev.lock gateway/pyproject.toml requirements/gateway.in -o requirements/gateway.lock
	@$(COMPILE) -c requirements/dev.lock requirements/image.in -o requirements/image.lock
	@$(COMPILE) requirements/peers.in -o requirements/peers.lock
	@$(COMPILE) requirements/feast.in -o requirements/feast.lock
	@$(COMPILE) requirements/fuzz.in -o requirements/fuzz.lock
	@$(COMPILE) -c requirements/dev.lock --extra training libs/common/pyproject.toml proto/pyproject.toml services/fraud/pyproject.toml -o requirements/fraud-training.lock
