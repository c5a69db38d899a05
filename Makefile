# Needs git, Python >= 3.11 and make. Everything else comes into .venv, at the versions of constraints.txt.
PYTHON ?= python3
# Linux without an NVIDIA card: make demo TORCH=cpu takes the build of PyTorch without CUDA, from pytorch.org.
TORCH ?=

BIN := .venv/bin
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
endif
INDEX := $(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)
INSTALLED := .venv/installed
# Tests run one to a core, each on one thread.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-slow test-all lint types benchmarks constraints clean

demo: $(INSTALLED)
	$(BIN)/saccade demo

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-slow: $(INSTALLED)
	$(PYTEST) -m slow

test-all: test test-slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# The benchmarks run each peer in an environment of its own.
benchmarks: $(INSTALLED) .venv-bench/installed .venv-joey/installed
	$(BIN)/python benchmarks/additive.py
	$(BIN)/python benchmarks/mechanisms.py
	$(BIN)/python benchmarks/heads.py
	$(BIN)/python benchmarks/look.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/times.py
	$(BIN)/python benchmarks/joeynmt.py

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'saccade needs Python 3.11 or newer; this is ' + sys.version.split()[0] + ' (choose one with make PYTHON=...)')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(INDEX) --constraint constraints.txt --editable ".[all,dev]"
	@touch $@

.venv-bench/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/requirements.txt
	@touch $@

.venv-joey/installed: benchmarks/requirements-joeynmt.txt constraints.txt
	$(PYTHON) -m venv .venv-joey
	.venv-joey/bin/python -m pip install --quiet --disable-pip-version-check $(INDEX) --constraint constraints.txt torch
	.venv-joey/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement benchmarks/requirements-joeynmt.txt
	@touch $@

# Pin every dependency of every platform anew.
constraints:
	uvx uv@0.13.8 pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.11 \
	  --constraint constraints.in --no-annotate --custom-compile-command "make constraints" --output-file constraints.txt

clean:
	rm -rf .venv .venv-bench .venv-joey
