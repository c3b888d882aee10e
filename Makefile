# Every command does its own set-up, from Python 3.11+ and make alone. `make` prints the list.
PYTHON ?= python3
VENV ?= .venv

# Settings of `make reproduce-...`, from the command line or the environment. make would run a `$(shell ...)` in them and
# the shell a `;`, so they are taken as typed and go to Python through the environment; no recipe contains one.
SETTINGS := PAPER PROFILE DATA DATASET SEEDS ROW SEED EPOCHS FILTERS LOSS FOREGROUND SPLIT
$(foreach name,VENV $(SETTINGS),$(eval override $(name) := $$(value $(name))))
override TARGET = $*
export VENV TARGET $(SETTINGS)

ifneq ($(words $(VENV)),1)
$(error VENV is the folder of the environment, a path without blanks. Received: "$(VENV)")
endif
BIN := "$$VENV"/bin
READY := $(VENV)/.ready

# A file's tests go to one worker, which makes what they share once.
PYTEST := pytest -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow test-jax test-torch lint types tables benchmark benchmark-peers parity-addons clean

help:  ## this list
	@echo "Usage: make <command> [PROFILE=demo|small|paper] [DATA=<archives>] [DATASET=<path below DATA>] [SEEDS=3]"
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-20s%s\n", $$1, $$2}'

setup: $(READY)  ## make the environment in .venv

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv "$$VENV"
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch "$$VENV"/.ready

reproduce-%: $(READY)  ## one table, reproduce-table2 [PAPER=...], or all of a paper, reproduce-kethavath2025
	@exec $(BIN)/python -m experiments.reproduce

test: $(READY)  ## all tests but the slow ones; with KERAS_UQ_DATA=<archives> also those on real data
	$(BIN)/python -m $(PYTEST)

test-slow: $(READY)  ## the slow tests: empty environments, peak memory, killed processes, whole runs in 3D
	$(BIN)/python -m $(PYTEST) -m slow

test-jax: $(VENV)/.jax  ## losses, callbacks and Monte Carlo dropout on the JAX backend
	KERAS_BACKEND=jax $(BIN)/python -m $(PYTEST) tests/losses tests/callbacks tests/inference/test_mc_dropout.py tests/metrics/test_dice_metric.py

$(VENV)/.jax: $(READY)
	$(BIN)/pip install --quiet --editable ".[jax]"
	touch "$$VENV"/.jax

# Warnings are no errors here: torch.compile warns of its own code.
test-torch: $(VENV)-torch/.ready  ## losses and inference on the PyTorch backend, in an environment of its own
	KERAS_BACKEND=torch "$$VENV"-torch/bin/python -m $(PYTEST) -W default --disable-warnings tests/losses tests/inference tests/metrics/test_dice_metric.py

$(VENV)-torch/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv "$$VENV"-torch
	"$$VENV"-torch/bin/pip install --quiet --editable ".[dev]" torch==2.13.0
	touch "$$VENV"-torch/.ready

lint: $(READY)  ## style of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## what an editor and a type checker see of the losses
	$(BIN)/python -m tests.types

tables: $(READY)  ## every table and page again from its records
	$(BIN)/python -m experiments.report

benchmark: $(READY)  ## speed of sampling, windows, preparation and losses, as ratios from one run
	$(BIN)/python -m experiments.benchmarks

benchmark-peers: $(VENV)-peers/.ready $(READY)  ## speed and memory beside MONAI, surface-distance, MedPy, torchmetrics
	$(BIN)/python -m experiments.benchmarks.peers "$$VENV"-peers/bin/python

$(VENV)-peers/.ready:
	$(PYTHON) -m venv "$$VENV"-peers
	"$$VENV"-peers/bin/pip install --quiet torch==2.13.0 "monai>=1.6,<1.7" surface-distance-based-measures==0.1 \
		medpy==0.5.2 torchmetrics==1.9.0
	touch "$$VENV"-peers/.ready

parity-addons: $(VENV)-addons/.ready $(READY)  ## compare with tensorflow-addons, in an environment of its own
	$(BIN)/python -m experiments.benchmarks.parity_addons "$$VENV"-addons/bin/python

$(VENV)-addons/.ready:
	$(PYTHON) -m venv "$$VENV"-addons
	"$$VENV"-addons/bin/pip install --quiet tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0
	touch "$$VENV"-addons/.ready

clean:  ## remove environments, caches and demo runs
	rm -rf "$$VENV" "$$VENV"-torch "$$VENV"-addons "$$VENV"-peers .cache build dist results/runs/*/demo-*
