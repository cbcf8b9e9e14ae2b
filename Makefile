# Everything a person or CI does here; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

# Images: Docker builds and runs them, or what is named here (docs/image.md)
CONTAINERS ?= docker
BUILD_IMAGE ?= $(CONTAINERS) build
IMAGE ?= alcove
MODEL_IMAGE ?= ct2-model
PULLED = $(STORE)/models/$(MODEL_NAME)
MODEL_DIR ?= $(firstword $(wildcard artifacts/$(MODEL_NAME) $(PULLED)+ctranslate2 $(PULLED)))
STORE = $(or $(ALCOVE_HOME),$(or $(XDG_DATA_HOME),$(HOME)/.local/share)/alcove)
PORT ?= 8000
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/alcove/__init__.py)
comma := ,

.DEFAULT_GOAL := help
.PHONY: help setup run run-dev test fuzz check format bench soak builtin build inject run-docker image-test package lock audit clean

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

fuzz: .venv/dev  ## Feed parsing, vetting, configuration and stop strings what atheris makes up, FUZZ_S seconds (180) each
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	@for target in request_bodies chat_templates configurations answer_texts; do \
	  mkdir -p .cache/fuzz/$$target && \
	  $(BIN)/python -m tests.fuzz.$$target -max_total_time=$(or $(FUZZ_S),180) -max_len=1000 -timeout=10 \
	    -artifact_prefix=.cache/fuzz/ -dict=tests/fuzz/$$target.dict .cache/fuzz/$$target tests/fuzz/seeds/$$target \
	  || exit 1; done

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

soak: .venv/dev  ## Try the nine promises for MINUTES (10; 60: all in full), and write them into docs/reliability.md
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),10)

builtin: .venv/dev  ## Train, convert and measure the built-in models anew (half an hour)
	@for model in alcove-seq2seq alcove-chat; do for step in train convert measure; do \
	  OMP_NUM_THREADS=1 $(BIN)/python -m tools.builtin $$step $$model || exit 1; done; done

build:  ## Build the image `alcove` (also tagged `ct2-wrapper`), without a model but the built-in ones
	@$(BUILD_IMAGE) --file deploy/Dockerfile --tag $(IMAGE) --tag ct2-wrapper --build-arg VERSION=$(VERSION) \
	  $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(BUILD_BASE),--build-arg BUILD_BASE=$(BUILD_BASE)) \
	  $(if $(PIP_INDEX_URL),--build-arg PIP_INDEX_URL) \
	  $(if $(PIP_CERT),--build-arg PIP_CERT=/run/secrets/certificates --secret id=certificates$(comma)src=$(PIP_CERT)) .

inject:  ## Put a model into the image `ct2-model`: MODEL_NAME=org/name [MODEL_DIR=...]
	@test -n "$(MODEL_NAME)" || { echo "inject: name the model: make inject MODEL_NAME=org/name" >&2; exit 2; }
	@test -d "$(MODEL_DIR)" || { echo "inject: $(MODEL_NAME) is neither in artifacts/ nor pulled; name its folder:" \
	  "make inject MODEL_NAME=$(MODEL_NAME) MODEL_DIR=..." >&2; exit 2; }
	@$(BUILD_IMAGE) --file deploy/inject.Dockerfile --tag $(MODEL_IMAGE) --build-arg IMAGE=$(IMAGE) \
	  --build-arg MODEL_NAME=$(MODEL_NAME) $(MODEL_DIR)
	@echo "$(MODEL_NAME) was injected into the image $(MODEL_IMAGE)"

run-docker:  ## Run the injected image, else the base image, on port 8000 of all addresses
	@CONTAINERS="$(CONTAINERS)" IMAGE="$(IMAGE)" MODEL_IMAGE="$(MODEL_IMAGE)" PORT="$(PORT)" deploy/run.sh

image-test: .venv/dev  ## Build both images without Docker and try them (root, buildah, debootstrap; some minutes)
	@$(BIN)/python -m pytest -v --capture=no tests/image/built_image.py

package: .venv/dev  ## Build the sdist and the wheel into dist/
	@$(BIN)/uv build --build-constraints constraints.txt

# hashes of all files of the versions that the tests ran with; after a change of dependencies
lock: .venv/dev  ## Write the image's locks, deploy/*.lock
	@$(BIN)/uv pip compile --quiet $(LOCKED) --output-file deploy/requirements.lock pyproject.toml
	@$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'])" \
	  | $(BIN)/uv pip compile --quiet $(LOCKED) --output-file deploy/build.lock -
LOCKED = --universal --python-version 3.11 --generate-hashes --constraint constraints.txt \
  --custom-compile-command "make lock"

# in an environment of its own, for what it needs is no part of ours; without --strict what it cannot look up would pass
audit: .venv/dev  ## Ask for known holes in all versions that are locked; needs the network
	@$(AUDIT) --require-hashes --requirement deploy/requirements.lock
	@$(AUDIT) --no-deps --requirement constraints.txt
AUDIT = $(BIN)/uvx pip-audit==2.10.1 --strict --disable-pip

clean:  ## Remove what was made
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache
