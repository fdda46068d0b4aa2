# Two commands do everything: make run, make test. `make help` lists the rest.
SHELL := /bin/sh
SUPPORTED := python3 python3.13 python3.12 python3.11
PYTHON ?= $(shell for p in $(SUPPORTED); do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Bytecode is written by the first import, whatever the shell says: that of all packages takes as
# long as unpacking them.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation --no-compile
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
BENCH := $(CURDIR)/build/bench
RESOLVE := build/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate
ENVIRONMENT := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help run test quick bar cover lint format bench lock docs experiments site notebooks clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: $(BIN)/.run ## the whole job on the source of params.yaml, or on SOURCE=sources/NAME.yaml
	@$(BIN)/winback run $(if $(SOURCE),--source $(SOURCE))

test: $(BIN)/.dev ## every test, and the slowest of them; ARGS="tests/models -k qini" for a part
	@$(ENVIRONMENT) $(BIN)/pytest -q $(PARALLEL) --durations=10 $(ARGS)

quick: $(BIN)/.dev ## the tests that need no finished run and no server: about a minute
	@$(ENVIRONMENT) $(BIN)/pytest -q $(PARALLEL) -m "not slow" $(ARGS)

bar: $(BIN)/.dev ## reliability and security at full count: reports/bar.json and docs/bar.md
	@BAR=full $(ENVIRONMENT) $(BIN)/pytest -q $(PARALLEL) --dist=load -m bar $(ARGS)
	@$(BIN)/python tests/bar.py

cover: $(BIN)/.dev ## which lines the tests of this process reach, in build/coverage/
	@$(ENVIRONMENT) $(BIN)/pytest -q $(PARALLEL) --cov=winback --cov-report=term:skip-covered \
	  --cov-report=html:build/coverage $(ARGS)

lint: $(BIN)/.dev ## ruff, and mypy on the built wheel
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf build/wheel build/lib && $(BIN)/python -m build --quiet --wheel --no-isolation --outdir build/wheel .
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target build/wheel/site build/wheel/*.whl
	@cd build/wheel/site && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p winback

format: $(BIN)/.dev ## ruff's fixes and formatting
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(BENCH)/.done ## every benchmark beside its peers; ARGS=--full for all sizes and seeds
	@OMP_NUM_THREADS=1 BENCH_PYTHON=$(BENCH)/bin/python $(BENCH)/bin/python benchmarks/bench.py $(ARGS)

lock: $(BIN)/.run ## resolve the dependencies of pyproject.toml anew
	@$(BIN)/python -m venv build/uv && build/uv/bin/pip install --quiet uv
	@$(RESOLVE) pyproject.toml --extra postgres --extra spark --extra notebooks --group dev --group docs \
	  --output-file requirements-dev.lock
	@$(RESOLVE) pyproject.toml --extra bench --extra postgres --group dev -c requirements-dev.lock \
	  --output-file requirements-bench.lock
	@$(RESOLVE) pyproject.toml -c requirements-dev.lock --output-file requirements.lock
	@$(RESOLVE) requirements-build.in -c requirements-dev.lock --output-file requirements-build.lock

docs: $(BIN)/.run ## the generated pages of docs/
	@$(BIN)/python -m winback.pipelines.docs
	@$(BIN)/python -m winback.pipelines.cli.page
	@$(BIN)/python tests/import_graph.py

experiments: $(BIN)/.run ## experiments side by side: the settings that differ and five figures
	@$(BIN)/dvc exp show --only-changed --no-pager --drop '.*/|(churn|winback|leavers|policy|rules)\.'

site: $(BIN)/.dev ## the documentation as pages, in build/site; opens offline
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

notebooks: $(BIN)/.dev ## run notebooks/ on the finished run, and write pages to reports/notebooks/
	@$(ENVIRONMENT) $(BIN)/python notebooks/render.py reports/notebooks

clean: ## remove what the stages and the tools made; data/raw and the environment stay
	rm -rf artifacts reports build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf data/tables data/truth data/features data/recommendations.parquet

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "winback needs Python 3.11, 3.12 or 3.13; none of $(SUPPORTED) is one. Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version); this takes a minute or two, once."
	@$(PYTHON) -m venv .venv

$(BIN)/.run: $(BIN)/python pyproject.toml requirements.lock requirements-build.lock
	@$(PIP) -r requirements-build.lock
	@$(PIP) -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/.dev: $(BIN)/.run requirements-dev.lock
	@$(PIP) -r requirements-dev.lock
	@touch $@

$(BENCH)/.done: $(BIN)/.run requirements-bench.lock
	@$(BIN)/python -m venv $(BENCH)
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
	  --no-build-isolation -r requirements-bench.lock
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
