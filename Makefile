# Everything a person or CI does here; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup run run-dev test check format bench builtin clean

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# .venv holds what serving needs; no torch
.venv/base: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing alcove (a minute, once) ..."
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

# .venv/dev adds what the tests, checks and benchmarks need; the openai client of 2023 lies beside today's
.venv/dev: .venv/base
	@echo "Installing what the tests need, torch among it (a few minutes, once) ..."
	@$(BIN)/pip install --quiet --constraint constraints.txt torch
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@$(BIN)/pip install --quiet --no-warn-conflicts --upgrade --target .venv/openai-0.28 "openai==0.28.1"
	@touch $@

setup: .venv/dev  ## Install everything: the server, torch, the tools

run: .venv/base  ## Serve on 127.0.0.1:8000 ($LLM_ARTIFACT_DIR, ./alcove.toml, ./config.json or the built-in models)
	@$(BIN)/alcove serve

run-dev: .venv/base  ## The same, restarted when the source changes
	@$(BIN)/alcove serve --reload --log-level debug

test: .venv/dev  ## Run all tests
	@$(BIN)/python -m pytest

check: .venv/dev  ## Lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: .venv/dev  ## Put the source into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/dev  ## Measure, and write docs/benchmarks.md
	@$(BIN)/python -m tests.bench

builtin: .venv/dev  ## Train, convert and measure the built-in models anew (half an hour)
	@for model in alcove-seq2seq alcove-chat; do for step in train convert measure; do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m tools.builtin $$step $$model || exit 1; done; done

clean:  ## Remove what was made
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache
