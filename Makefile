# make demo   set up the core and show the whole way on a simulated culture
# make test   set up everything, then lint, types and tests
# make test-slow, make bench, make clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_WORKERS ?= 2

.PHONY: demo test lint types pytest test-slow bench clean help

help:
	@sed -n 's/^# //p' Makefile

demo: $(VENV)/.core
	$(BIN)/c6seg demo --out demo-out

test: lint types pytest

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.all
	$(BIN)/mypy

pytest: $(VENV)/.all
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(PYTEST_WORKERS) -m "not slow and not gpu and not browser and not cluster"

test-slow: $(VENV)/.all
	$(BIN)/pytest -m slow

bench: $(VENV)/.all
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "c6seg needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.all: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,test,lint]'
	@touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) demo-out
