# Everything needs only Python 3.11 or newer and a shell; each target makes the virtual environment it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .bench/pgflow

# Tests start hundreds of Python processes; where the environment forbids bytecode, each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

.PHONY: demo
demo: $(VENV)/.demo ## Run the demo flow on the embedded PostgreSQL; ARGS="FILE_OR_URL …" chooses documents
	@$(BIN)/pgflow demo $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## Run all tests; ARGS="tests/sql -k retry" chooses some
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-interop
test-interop: $(VENV)/.dev ## Run the tests beside the reference implementation, whose npm packages they install
	PGFLOW_REQUIRE_INTEROP=node $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder tests/interop $(ARGS)

.PHONY: check
check: lint types layers generated ## Run every check that isn't a test

.PHONY: lint
lint: $(VENV)/.dev ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/.dev ## Check types
	$(BIN)/mypy

.PHONY: layers
layers: $(VENV)/.dev ## Check that modules import downwards only
	$(BIN)/lint-imports

.PHONY: generated
generated: $(VENV)/.dev ## Check that generated and frozen files are what they should be
	$(BIN)/python tools/unasync.py --check
	$(BIN)/python tools/freeze_migrations.py --check
	$(BIN)/python tools/document_telemetry.py --check
	$(BIN)/python tools/document_cli.py --check
	$(BIN)/python tools/document_features.py --check
	$(BIN)/python tools/document_compatibility.py --check

.PHONY: format
format: $(VENV)/.dev ## Format the code and write the generated files
	$(BIN)/python tools/unasync.py
	$(BIN)/python tools/document_telemetry.py
	$(BIN)/python tools/document_cli.py
	$(BIN)/python tools/document_features.py
	$(BIN)/python tools/document_compatibility.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(BENCH)/.ready ## Compare pgflow with its peers (about half an hour); ARGS="--quick --only A,D" tries parts of it
	$(BENCH)/bin/python benchmarks/compare.py $(ARGS)

.PHONY: clean
clean: ## Remove the virtual environments and caches; data in .pgflow stays
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/.demo pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(BENCH)/.ready: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install --quiet --editable ".[embedded]" --group bench
	@touch $@
