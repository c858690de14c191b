# Targets create the virtual environment when they need it. Waiting OpenMP threads must not take a neighbor's core.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-slurm lint figures scorecard reports speed docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## create the virtual environment .venv

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lth needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: setup ## find tickets on embedded digits: a table and two figures, in under three minutes once set up
	$(BIN)/lth run -m experiment=demo replicate=1,2,3 hydra/launcher=joblib

test: lint ## ruff, mypy and the tests
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

test-slow: setup ## the slow tests (minutes); those of HTML pages need chromium (apt-get install chromium)
	$(BIN)/python -m pytest -q -m slow

test-slurm: $(VENV)/.slurm ## a sweep on a Slurm of its own, as root on Debian: killed, preempted, out of time (minutes)
	tests/cluster/slurm.sh start
	$(BIN)/python -m pytest -q -m slurm tests/cluster; code=$$?; tests/cluster/slurm.sh stop; exit $$code

$(VENV)/.slurm: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[slurm]'
	@touch $@

lint: setup ## ruff check, ruff format --check and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

figures: setup ## draw every figure, from results under runs/ or the committed ones
	$(BIN)/lth figure all

scorecard: setup ## compare the papers' claims with the results
	$(BIN)/lth scorecard

reports: setup ## write every experiment as one self-contained HTML page
	$(BIN)/lth report all

speed: setup ## measure the engine beside a bare PyTorch loop and Lightning's own
	$(BIN)/lth speed

docs: $(VENV)/.docs ## build the documentation as HTML: build/docs/index.html; it runs the notebooks (minutes, once)
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs

$(VENV)/.docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

clean: ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist docs/api docs/notebooks docs/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
