# Everything happens inside this clone. `make help` lists what there is.
PYTHON ?= python3
BIN := .venv/bin
export TMPDIR := $(CURDIR)/.venv/tmp
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-all chaos eval bench check lint types format lock wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with everything in it
	@$(PYTHON) .ci/install.py
	@mkdir -p $(TMPDIR)

demo: setup ## Play the whole story in about a minute, on a Postgres of its own
	@$(BIN)/tidings demo

up: setup ## Run everything for the project in .tidings
	@$(BIN)/tidings up

test: setup ## Pass the tests that need nothing but Python
	@$(BIN)/pytest -n 2 -m "not services"

test-all: setup ## Pass all tests; needs RabbitMQ, Redis, Chromium and Node (.ci/run installs them)
	@$(BIN)/pytest -n 2

MINUTES ?= 10
SEED ?= 0
chaos: setup ## Break everything for a while and count what was lost or doubled: make chaos MINUTES=10 SEED=7
	@$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) --seed $(SEED)

eval: setup ## Grade the gold specs and show that each wrong spec is caught; no model is involved
	@$(BIN)/python -m evals

bench: setup ## Measure beside the peers, an hour or more; JOBS="capture latency" chooses
	@$(BIN)/tidings bench $(JOBS)

check: lint types ## What continuous integration checks besides the tests
	@$(BIN)/pytest tests/architecture

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: setup ## Resolve requirements.lock anew
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" -q -o requirements.lock

wheel: setup ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation -w dist .

clean: ## Remove .venv and what the tools cached; your data in .tidings stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
