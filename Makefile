PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help install run test check bench torture lock upgrade clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## Make .venv with ringback and everything that is locked

$(INSTALLED): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: $(INSTALLED) ## Watch calls become signed webhooks: a server, two receivers, a simulator; Ctrl-C ends it
	@exec $(BIN)/ringback demo

test: $(INSTALLED) ## Run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) -q

check: $(INSTALLED) ## Check format, lint, types and import rules
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) ## Measure: the floor, the whole path, latency, memory, start-up
	$(BIN)/python -m tests.bench

torture: $(INSTALLED) ## Kill the server under load, again and again, and count what arrived
	$(BIN)/python -m tests.torture

lock: ## Lock the dependencies that pyproject.toml names, keeping what is locked
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt

upgrade: ## Lock the newest versions of everything
	$(MAKE) lock UPGRADE=--upgrade

clean: ## Remove what was built, installed or cached
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
