# One entry for people and CI. Needs make and python3 >= 3.11, nothing else: the servers come with the packages.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A lock is complete, so it is installed without resolution: an old pip that resolves looks at the newest release of a
# package with extras (coverage[toml]) before it meets the pin, and stops. `pip check` says afterwards what is missing.
# Wheels only, so that no compiler is needed; localstripe (a test server in plain Python) is published without one.
INSTALL_LOCK := $(PIP) install --quiet --no-deps --require-hashes --only-binary :all:
NO_WHEEL := --no-binary localstripe
UV_VERSION := 0.13.8
LOCK := $(BIN)/uv pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --only-binary :all: $(NO_WHEEL) $(ARGS)

# A process for each processor, at most four, and a single one for tests that are picked: see tests/conftest.py.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help install install-dev check test coverage demo run bench chaos lock locks-check release release-check clean
# A recipe that is cut off leaves no half-made stamp.
.DELETE_ON_ERROR:

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Prepare .venv with all that is needed to run (.venv/bin/taiga-billing)

install-dev: $(VENV)/.installed-dev ## The same, and the tools for tests and checks

check: install-dev ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install-dev ## All tests, with real PostgreSQL and Redis; ARGS="-k rounding" picks some; WORKERS=0: one process
	$(PYTEST) $(ARGS)

coverage: install-dev ## Unit tests; fails unless they alone run every line of mappings and handlers
	$(PYTEST) tests/unit --cov=mappings --cov=handlers --cov-report=term-missing:skip-covered --cov-fail-under=100 $(ARGS)

demo: install ## The whole flow against sandbox servers, shown as a table; KEEP=1 leaves it running
	$(BIN)/taiga-billing demo $(if $(KEEP),--keep)

run: install ## Receiver, worker and private servers for the accounts in .env
	$(BIN)/taiga-billing up

bench: install ## Measure speed; BENCH_ARGS=--json
	$(BIN)/taiga-billing bench $(BENCH_ARGS)

chaos: install ## Kill everything again and again and count what arrived; SEED=11 repeats a run
	$(BIN)/taiga-billing bench chaos $(if $(SEED),--seed $(SEED)) $(BENCH_ARGS)

lock: $(BIN)/python ## Write the lock files anew after a change in pyproject.toml; ARGS=--upgrade takes newer packages
	$(PIP) install --quiet uv==$(UV_VERSION)
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) pyproject.toml --extra embedded --group build --constraint requirements.lock \
		--constraint requirements-build.lock --output-file requirements-demo.lock
	$(LOCK) pyproject.toml --extra embedded --group build --group dev --constraint requirements-demo.lock \
		--output-file requirements-dev.lock

locks-check: install ## Each lock installs exactly its pins, with old pips and new ones, whatever is published later
	$(BIN)/python -m tools.check_locks

release: install ## Build the wheel and the sdist in dist/ and list what is in them
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist
	$(BIN)/python -m tools.release_contents dist

release-check: release ## Install the built wheel into an environment of its own and run its demo
	$(BIN)/python -m tools.check_release dist

clean: ## Remove .venv and what tools leave behind; keeps .data and .env
	rm -rf $(VENV) build dist .coverage htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find middleware handlers mappings tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second run work without a network: pip is only asked when a lock file or pyproject.toml changed.
$(VENV)/.installed: requirements-demo.lock pyproject.toml $(BIN)/python
	@echo "Installing the pinned packages into $(VENV) ..."
	@$(INSTALL_LOCK) --requirement requirements-demo.lock
	@$(PIP) install --quiet --no-index --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing the tools for tests and checks ..."
	@$(INSTALL_LOCK) $(NO_WHEEL) --no-build-isolation --requirement requirements-dev.lock
	@$(PIP) check
	@touch $@

# Debian's python3 comes without ensurepip (it is in python3-venv); its pip, if present, can fill the environment, too.
define MAKE_VENV
for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
	python=
done
if [ -z "$$python" ]; then
	echo "taiga-billing needs Python 3.11 or newer, and none was found as python3 or python3.1x." >&2
	echo "Install one (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3 install" >&2
	exit 1
fi
if "$$python" -c 'import ensurepip' 2>/dev/null; then
	"$$python" -m venv --clear $(VENV)
elif "$$python" -m pip --version >/dev/null 2>&1; then
	"$$python" -m venv --clear --without-pip $(VENV)
	"$$python" -m pip --python $(BIN)/python install --quiet pip
else
	echo "This Python ($$python) can make no virtual environment: its ensurepip module is missing." >&2
	echo "On Debian and Ubuntu: apt install python3-venv" >&2
	exit 1
fi
endef
export MAKE_VENV

$(BIN)/python:
	@sh -euc "$$MAKE_VENV"
