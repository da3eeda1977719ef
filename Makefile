# `make demo` and `make test` need python3 (3.11 or newer) and nothing else; everything is installed into .venv.
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench clean

VENV := .venv
BIN := $(VENV)/bin
MINUTES ?=
ACCOUNTS ?=
OUT ?= demo-out

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo-ready  ## the main job on embedded parts: real Faust workers, embedded Kafka broker and ClickHouse
	$(BIN)/crossmargin demo --out $(OUT) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ACCOUNTS),--accounts $(ACCOUNTS))

test: $(VENV)/.test-ready  ## lint, types, import contracts and every test this machine can run
	$(BIN)/python -m tests.run

check: $(VENV)/.test-ready  ## only lint, types and import contracts: seconds
	$(BIN)/python -m tests.run --no-pytest

format: $(VENV)/.test-ready  ## rewrite the sources in the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: $(VENV)/.demo-ready  ## every benchmark of bench/, beside its reference
	$(BIN)/crossmargin bench

clean:  ## forget the environment, caches and demo output
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist demo-out

# The demo needs no developer tools, the tests need all of it; --inexact lets the two share one environment.
$(VENV)/.demo-ready: pyproject.toml uv.lock $(BIN)/uv
	$(BIN)/uv sync --frozen --quiet --inexact --no-dev --extra embedded
	@touch $@

$(VENV)/.test-ready: pyproject.toml uv.lock $(BIN)/uv
	$(BIN)/uv sync --frozen --quiet --inexact --extra embedded
	@touch $@ $(VENV)/.demo-ready

$(BIN)/uv:
	@sh scripts/bootstrap.sh $(VENV)
