# Targets create the virtual environment when they need it. Its modules are compiled when they are first imported, which
# most of them never are (--no-compile), and kept, or each of a thousand processes would compile PyTorch once more. The
# tests are compiled once too (.collected; collection errors are reported again by the test run), and the types are
# checked meanwhile. Waiting OpenMP threads must not occupy other processes' cores.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_WAIT_POLICY := PASSIVE
export MPLBACKEND := Agg
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# Each is a target: make frankle2019_fig5
EXPERIMENTS := $(patsubst experiments/%.py,%,$(wildcard experiments/[a-z]*.py))
# Overrides in quotes as in a shell, but no pattern or command: ARGS="name='a b' levels=choice(2,4)"
override ARGS := $(value ARGS)
export ARGS
LTH := $(BIN)/python -c 'import os, shlex, sys; words = [*sys.argv[1:], *shlex.split(os.environ["ARGS"])]; \
	os.execv(words[0], words)' $(BIN)/lth
CHOSEN = $(if $(LAUNCHER),hydra/launcher=$(LAUNCHER))

.PHONY: help setup demo sweep figure test test-all test-slow test-slurm test-ray test-nfs lint figures scorecard reports speed docs clean $(EXPERIMENTS)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo 'NAME        the figure of an experiment, as above: $(EXPERIMENTS)' | fold -s -w 108 | sed '2,$$s/^/            /'

setup: $(VENV)/.compiled ## create the virtual environment .venv

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lth needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	@echo 'installing PyTorch and the other packages in $(VENV): up to 7 GB, minutes'
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	@touch $@

$(VENV)/.compiled: $(VENV)/.ready
	$(BIN)/python -c 'import hydra, matplotlib.pyplot, numba, pytorch_lightning, torch'
	@touch $@

demo: setup ## find tickets on embedded digits: a table and two figures, in under three minutes once set up
	$(BIN)/lth run -m experiment=demo replicate=1,2,3

sweep: setup ## make sweep NAME=demo LAUNCHER=slurm ARGS=levels=3 trains an experiment of conf/, or name=NAME
	$(if $(NAME),,$(error say what to train: make sweep NAME=demo))
	$(LTH) run -m '$(if $(wildcard conf/experiment/$(NAME).yaml),experiment,name)=$(NAME)' \
		$(if $(findstring replicate=,$(ARGS)),,replicate=1,2,3) $(CHOSEN)

figure: setup ## make figure NAME=quantization LAUNCHER=slurm ARGS=scale=reduced trains what is missing, and draws
	$(if $(NAME),,$(error say which figure: make figure NAME=frankle2019_fig4))
	$(LTH) figure '$(NAME)' --run $(CHOSEN)

$(EXPERIMENTS): setup
	$(LTH) figure $@ --run $(CHOSEN)

test: $(VENV)/.ready ## ruff, mypy and the tests, all but the long and the slow ones
	$(MAKE) --jobs 2 lint $(VENV)/.collected
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile

test-all: $(VENV)/.ready ## ruff, mypy, and the long tests too
	$(MAKE) --jobs 2 lint $(VENV)/.collected
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile -m 'not slow and not nfs and not ray and not slurm'

$(VENV)/.collected: $(VENV)/.compiled
	@$(BIN)/python -m pytest -q --collect-only >/dev/null || true
	@touch $@

test-slow: setup ## the notebooks and the slow tests (minutes); those of HTML pages need chromium (apt-get install it)
	$(BIN)/python -m pytest -q --nbmake notebooks
	$(BIN)/python -m pytest -q -m slow

test-slurm: $(VENV)/.slurm ## a sweep on a Slurm of its own, as root on Debian: killed, preempted, out of time (minutes)
	$(BIN)/python -m pytest -q tests/test_slurm.py
	tests/cluster/slurm.sh start
	$(BIN)/python -m pytest -q -m slurm tests/cluster; code=$$?; tests/cluster/slurm.sh stop; exit $$code

$(VENV)/.slurm: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[slurm]'
	@touch $@

test-nfs: setup ## two mounts of one folder, as on two hosts: four minutes, as root; it installs bindfs where that is missing
	@[ "$$(id -u)" = 0 ] || { echo "make test-nfs mounts folders and makes namespaces: run it as root"; exit 1; }
	@command -v bindfs >/dev/null || { apt-get update -qq && apt-get install -y -qq bindfs fuse3; } || \
		{ echo "make test-nfs needs bindfs and FUSE 3: install them"; exit 1; }
	$(BIN)/python -m pytest -q -m nfs tests/test_nfs.py

test-ray: $(VENV)/.ray ## start a Ray cluster of two nodes on this machine, run a sweep on it, compare with a local run
	$(BIN)/python -m pytest -q -m ray tests/cluster

$(VENV)/.ray: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	@touch $@

lint: $(VENV)/.ready ## ruff check, ruff format --check and mypy
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
