# make demo   set up the core and show the whole way on a simulated culture
# make test   set up everything, then lint, types and tests
# make test-slow, make test-cluster (on Ray clusters of this machine), make bench, make clean
# make small-study   run the study of docs/results/; takes about three hours on two cores
# make embedded-model   train the model that comes with c6seg; takes hours (docs/explanation/embedded-model.md)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_WORKERS ?= 2

.PHONY: demo test lint types pytest test-slow test-cluster bench embedded-model small-study clean help

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

test-cluster: $(VENV)/.all
	OMP_NUM_THREADS=1 $(BIN)/pytest -m cluster

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

T98G := ../shared/data/t98g
SPLIT := benchmarks/embedded_split.json:split00

embedded-model: $(VENV)/.all
	$(BIN)/c6seg data simulate .train/simulated --count 600 --size 480x480 --seed 1
	$(BIN)/c6seg data compose $(T98G) .train/composed --count 120 --size 512x512 --seed 1 --split $(SPLIT)
	$(BIN)/c6seg data compose $(T98G) .train/disturbed/composed --count 220 --size 512x512 --seed 2 --split $(SPLIT) --disturbed 0.6
	C6SEG_WEIGHTS=../shared/data/weights $(BIN)/c6seg train --recipe embedded --data $(T98G) --extra .train/simulated --extra .train/composed --split $(SPLIT) --out .train/first
	$(BIN)/c6seg train --recipe embedded-dense --init .train/first/bundle --data $(T98G) --extra .train/simulated --extra .train/disturbed/composed --split $(SPLIT) --out .train/embedded
	$(BIN)/c6seg models familiar .train/embedded/bundle $(T98G) .train/simulated .train/disturbed/composed

small-study: $(VENV)/.all
	C6SEG_WEIGHTS=../shared/data/weights $(BIN)/c6seg study run docs/results/small.yaml --data ../shared/data --out .train/studies
	for study in starts train-size groups; do \
	  mkdir -p docs/results/$$study && cd .train/studies/$$study && cp -r report.md scores.csv tables figures ../../../docs/results/$$study/ && cd ../../.. && rm -f docs/results/$$study/figures/*.pdf docs/results/$$study/tables/*.md || exit 1; \
	done

clean:
	rm -rf $(VENV) demo-out
