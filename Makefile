# Targets create the virtual environment when they need it. Waiting OpenMP threads must not take a neighbor's core.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE
export MPLBACKEND := Agg

.DEFAULT_GOAL := help
test-ray: $(VENV)/.ray ## start a Ray cluster of two nodes on this machine, run a sweep on it, compare with a local run
	$(BIN)/python -m pytest -q -m ray tests/cluster

$(VENV)/.ray: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
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
