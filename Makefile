# Two commands on a fresh machine: `make demo` and `make test`. They need python3 (3.11 to 3.13) and make.
PYTHON ?= python3
VENV ?= .venv
# One process more than cores: some tests wait
TESTERS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 5)))
RUN = $(VENV)/bin
PIP = $(RUN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
# Hundreds of processes import torch: each would compile it anew where the environment keeps no bytecode
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test lint docs bench oldest newest clean

demo: $(VENV)/.speaks
	$(RUN)/talkers demo -o demo

test: $(VENV)/.tests
	$(RUN)/python -m pytest --numprocesses $(TESTERS) --dist worksteal

lint: $(VENV)/.tests
	$(RUN)/ruff check . && $(RUN)/ruff format --check . && $(RUN)/mypy && $(RUN)/lint-imports

# The site, in build/site; the variable silences the theme's announcement of its successor
docs: $(VENV)/.tests
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --quiet --strict --site-dir build/site

bench: $(VENV)/.tests
	$(RUN)/python benchmarks/speed.py

# The oldest and the newest torch and numpy that pyproject.toml allows, each with the built wheel in an environment of its own;
# everything else as tested together. The oldest numpy has no build for Python 3.13: make oldest PYTHON=python3.11
oldest: ENDS = $(shell sed -nE 's/^  "(torch|numpy)>=([0-9.]+)[",].*/\1==\2.0/p' pyproject.toml)
oldest newest:
	$(PYTHON) -m venv .venv-$@
	grep -vE '^(torch|numpy)==' constraints.txt > .venv-$@/constraints.txt
	.venv-$@/bin/python -m pip --disable-pip-version-check install --quiet --upgrade --only-binary numpy --constraint .venv-$@/constraints.txt $(ENDS) '.[dev]'
	.venv-$@/bin/python -c 'import sys, torch, numpy; print("Python", sys.version.split()[0], "torch", torch.__version__, "numpy", numpy.__version__)'
	.venv-$@/bin/python -m pytest tests/renderers tests/motion tests/runtime

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "talkers needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing: apt install python3-venv"; exit 1; }

# torch comes first and by its exact version, so that nothing else chooses another build of it
$(VENV)/.speaks: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	@touch $@

# uv installs in seconds what takes pip minutes. It knows none of pip's settings: where they name another index or a
# proxy, and wherever uv fails, pip does it
$(VENV)/.tests: $(VENV)/.speaks
	{ ! $(RUN)/python -m pip config list | grep -qE '\.(index-url|no-index|proxy)=' && $(PIP) uv && \
	$(RUN)/uv pip install --quiet --python $(RUN)/python --constraint constraints.txt --editable '.[dev]'; } || \
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
