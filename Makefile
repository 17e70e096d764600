# `make demo` and `make test` need only Python (3.11 or newer) and make: they set up their own .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two test processes with as many threads as cores each would mostly wait for each other.
ONE_THREAD := NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

.PHONY: help demo test clean

help:
	@echo "make demo   build a small scene, turn it into a tree of segments, show numbers and pictures"
	@echo "make test   check layers and style, run the whole test suite"
	@echo "make clean  remove the environment and what demo and test wrote"

demo: $(READY)
	$(BIN)/ultrafield demo --out demo

test: $(READY)
	$(BIN)/lint-imports
	$(BIN)/ruff check .
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Ultrafield needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .hypothesis .import_linter_cache
