# Everything a developer or an operator at a laptop does. It needs Python 3.11 or newer, and make.

VENV := .venv
PY := $(VENV)/bin/python
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# How many test processes; each runs a PostgreSQL of its own.
JOBS ?= 3
PYTEST := $(PY) -m pytest -n $(JOBS) --dist worksteal
# Further flags for the tool that a target runs: make run ARGS="--port 9000", make test ARGS="-k expiry"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check bench soak coverage test-unit test-property test-races lock docs clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Set up, migrate an SQLite file and serve on 127.0.0.1:8080, jobs included
	$(PY) -m marketplace serve $(ARGS)

test: $(VENV)/.development ## Set up and run every test
	$(PYTEST) $(ARGS)

check: $(VENV)/.development ## Linters, formatting, types, import contracts, SQL of the migrations
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m tests.structure.offline_sql | $(VENV)/bin/squawk --config .squawk.toml

bench: $(VENV)/.development ## Run the benchmarks and print their table
	$(PY) -m benchmarks $(ARGS)

soak: $(VENV)/.development ## The long forms of the tests, which take many minutes
	$(PYTEST) --soak -o faulthandler_timeout=0 $(ARGS)

coverage: $(VENV)/.development ## Every test with coverage, server processes included
	rm -f .coverage .coverage.*
	$(VENV)/bin/coverage run -m pytest -n $(JOBS) --dist worksteal $(ARGS)
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

test-unit: $(VENV)/.development ## The quick tests: no races, no crashes, no generated examples
	$(PYTEST) -m "not (races or crashes or property or slow or soak)" $(ARGS)

test-property: $(VENV)/.development ## Generated examples against simple models
	$(PYTEST) -m property $(ARGS)

test-races: $(VENV)/.development ## Many clients and processes at once, crashes and cut connections
	$(PYTEST) -m "races or crashes" $(ARGS)

docs: $(VENV)/.development ## Write the generated parts of the documentation anew
	$(PY) -m tests.structure.error_table
	$(PY) -m tests.structure.kind_table

COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --extra docker --extra kubernetes --custom-compile-command "make lock" pyproject.toml

lock: $(VENV)/.development ## Write both locks anew from pyproject.toml (ARGS=--upgrade takes newer versions)
	$(COMPILE) $(ARGS) -o requirements.lock
	$(COMPILE) $(ARGS) --group dev --constraint requirements.lock -o requirements-dev.lock

clean: ## Remove what tools left behind, but not the environment and no database
	rm -rf dist htmlcov .coverage .coverage.* .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# ── set-up: done once, and again when a lock has changed ──────────────────────────────────────────────────────────────

$(PY):
	@test -n "$(PYTHON)" || { echo "This needs Python 3.11 or newer on the PATH (or: make PYTHON=/path/to/python)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }

# The tree itself is not built: a .pth file makes it importable, and a line of shell makes it a command.
$(VENV)/bin/marketplace: | $(PY)
	@$(PY) -c 'import os, pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "marketplace.pth").write_text(os.getcwd() + "\n")'
	@printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m marketplace "$$@"\n' > $@ && chmod +x $@

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/marketplace
	@echo "Installing what the service needs into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.development: requirements-dev.lock | $(VENV)/bin/marketplace
	@echo "Installing what development needs into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $(VENV)/.runtime $@
