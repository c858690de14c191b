# One virtual environment, made when it is needed. Waiting OpenMP threads must not spin beside another process.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint figures scorecard reports speed clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## the virtual environment .venv with everything in it

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lth needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: setup ## find tickets on embedded digits: a table and two figures, in under three minutes
	$(BIN)/lth run -m experiment=demo replicate=1,2,3 hydra/launcher=joblib

test: setup ## the tests
	$(BIN)/python -m pytest -q

test-slow: setup ## the tests that take minutes; those of the pages need chromium (apt-get install chromium)
	$(BIN)/python -m pytest -q -m slow

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

figures: setup ## every figure, from what is stored under runs/ or from the results that come with lth
	$(BIN)/lth figure all

scorecard: setup ## what the papers claim beside what came out
	$(BIN)/lth scorecard

reports: setup ## every experiment as one page of HTML, to open without a network
	$(BIN)/lth report all

speed: setup ## the engine beside a bare PyTorch loop and Lightning's own
	$(BIN)/lth speed

clean: ## the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
