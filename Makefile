# `make demo` and `make test` need only Python (3.11 or newer) and make: they set up their own .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two test processes with as many threads as cores each would mostly wait for each other.
ONE_THREAD := NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# Where Python is told to keep no compiled modules, every process of the suite would compile them all again.
KEEP := PYTHONDONTWRITEBYTECODE=

.PHONY: help demo test check format coverage bench docs fuzz clean

help:
	@echo "make demo      build a small scene, turn it into a tree of segments, show numbers and pictures"
	@echo "make test      check layers, style, format and types, run the whole test suite"
	@echo "make check     the same without the test suite"
	@echo "make format    format the code and mend what ruff can mend"
	@echo "make coverage  run the test suite and say which part of the code it runs"
	@echo "make bench     check and time operations on small inputs, on the CPU, in about a minute"
	@echo "make docs      build the documentation into site/, and fail on every warning"
	@echo "make fuzz      damage N inputs, draw N command lines, kill N times, and say what goes wrong (N=200)"
	@echo "make clean     remove the environment and what the others wrote"

demo: $(READY)
	$(BIN)/ultrafield demo --out demo

test: check
	$(ONE_THREAD) $(KEEP) $(BIN)/python -m pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/lint-imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(READY)
	$(ONE_THREAD) $(KEEP) $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term --cov-report=json

bench: $(READY)
	$(ONE_THREAD) $(BIN)/python benchmarks/ops.py --quick --repeats 5 --json bench/ops.json
	$(ONE_THREAD) $(BIN)/python benchmarks/trees.py --nodes 20000 --json bench/trees.json
	$(ONE_THREAD) $(BIN)/python benchmarks/votes.py --points 20000 --views 20 --size 200 --regions 500 --json bench/votes.json

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html in a browser; its search needs a server: python3 -m http.server --directory site"

N ?= 200
SEED ?= 0

fuzz: $(READY)
	$(ONE_THREAD) $(BIN)/python tests/faults/inputs.py --inputs $(N) --workers 2 --seed $(SEED)
	$(ONE_THREAD) $(BIN)/python tests/faults/command_lines.py --count $(N) --seed $(SEED)
	$(ONE_THREAD) $(BIN)/python tests/faults/campaigns.py --kills $(N) --workers 2 --seed $(SEED)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Ultrafield needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo bench site coverage.json .coverage .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
