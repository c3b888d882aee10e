# Every command does its own set-up, from Python 3.11+ and make alone. `make` prints the list.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

PAPER ?= kethavath2025
PROFILE ?= demo
OPTIONS = --profile $(PROFILE) $(if $(DATA),--data "$(DATA)") $(if $(DATASET),--dataset "$(DATASET)") \
	$(if $(SEEDS),--seeds $(SEEDS)) $(if $(ROW),--row "$(ROW)") $(if $(SEED),--seed $(SEED)) \
	$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(FILTERS),--filters $(FILTERS)) $(if $(LOSS),--loss "$(LOSS)") \
	$(if $(FOREGROUND),--foreground "$(FOREGROUND)") $(if $(SPLIT),--split $(SPLIT))

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow test-jax lint benchmark benchmark-peers tables parity-addons clean

help:  ## this list
	@echo "Usage: make <command> [PROFILE=demo|small|paper] [DATA=<archives>] [DATASET=<path below DATA>] [SEEDS=3]"
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s%s\n", $$1, $$2}'

setup: $(READY)  ## make the environment in .venv

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

$(VENV)/.jax: $(READY)
	$(BIN)/pip install --quiet --editable ".[jax]"
	touch $@

# A table that cannot be run does not keep the others from it, but the command fails.
reproduce-%: $(READY)  ## one table, reproduce-table2 [PAPER=...], or all of a paper, reproduce-kethavath2025
	@if [ -d experiments/$* ]; then status=0; \
	for file in experiments/$*/table*.py; do \
	echo "$$file"; $(BIN)/python -m experiments.$*.$$(basename $$file .py) $(OPTIONS) || status=$$?; done; exit $$status; \
	else $(BIN)/python -m experiments.$(PAPER).$* $(OPTIONS); fi

test: $(READY)  ## all tests but the slow ones; with KERAS_UQ_DATA=<archives> also those on real data
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(READY)  ## the slow tests: empty environments, peak memory, killed processes, whole runs in 3D
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

test-jax: $(VENV)/.jax  ## losses, models, callbacks and inference on the JAX backend
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" tests/losses tests/models tests/callbacks tests/inference tests/metrics/test_dice_metric.py --deselect tests/models/test_unet.py::test_parameter_counts

lint: $(READY)  ## style of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

benchmark: $(READY)  ## speed of sampling, windows, preparation and losses, as ratios from one run
	$(BIN)/python -m experiments.benchmarks

benchmark-peers: $(VENV)-peers/.ready $(READY)  ## speed and memory beside MONAI, surface-distance, MedPy, torchmetrics
	$(BIN)/python -m experiments.benchmark_peers $(VENV)-peers/bin/python

$(VENV)-peers/.ready:
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/pip install --quiet torch==2.13.0 "monai>=1.6,<1.7" surface-distance-based-measures==0.1 \
		medpy==0.5.2 torchmetrics==1.9.0
	touch $@

tables: $(READY)  ## every table again from its records
	$(BIN)/python -m experiments.report

parity-addons: $(VENV)-addons/.ready $(READY)  ## compare with tensorflow-addons, in an environment of its own
	$(BIN)/python -m experiments.parity_addons $(VENV)-addons/bin/python

$(VENV)-addons/.ready:
	$(PYTHON) -m venv $(VENV)-addons
	$(VENV)-addons/bin/pip install --quiet tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
	touch $@

clean:  ## remove environments, caches and demo runs
	rm -rf $(VENV) $(VENV)-addons $(VENV)-peers .cache build dist results/runs/*/demo-*
