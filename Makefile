# Two commands make everything: `make run` searches, `make test` checks.
#
#   make run GENS=5 PYTHON=python3.12 ARGS="--seed 3 --jobs 2"
#   make test ARGS="tests/store -x"

PYTHON ?= python3
VENV ?= .venv
GENS ?= 100
ARGS ?=
# Further options of pip, e.g. an index that has the smaller CPU build of torch.
PIP_ARGS ?=
# Processes that share the tests; 0 runs them in one, e.g. for --pdb.
WORKERS ?= 2

# One stamp per interpreter: asking for another Python makes the environment anew.
TAG := $(subst /,_,$(PYTHON))
CREATED := $(VENV)/.created-$(TAG)
RUN_READY := $(VENV)/.ready-to-run
TEST_READY := $(VENV)/.ready-to-test
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

.PHONY: help run test test-all coverage lint format docs clean

help:
	@echo "make run    search for a proxy (GENS=$(GENS), PYTHON=$(PYTHON), ARGS: further options)"
	@echo "make test   run the tests that are quick (WORKERS=$(WORKERS))"
	@echo "make test-all  and those that start commands and workers, or measure networks"
	@echo "make coverage  the same, and which lines of gp_emq it runs: up to twice the time"
	@echo "make lint   check style and types"
	@echo "make format format the code"
	@echo "make docs   build the site of docs/ in build/docs"
	@echo "make clean  remove the virtual environment and caches (runs are kept)"

run: $(RUN_READY)
	$(BIN)/python -m gp_emq.run --gens $(GENS) $(ARGS)

# Each of the processes that share the tests has one thread: more would wait for each other.
test test-all coverage: export OMP_NUM_THREADS ?= 1
test test-all coverage: export MKL_NUM_THREADS ?= 1

test: $(TEST_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

test-all: $(TEST_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

# Counting lines makes tests of small networks, whose time is Python's, take twice as long.
coverage: $(TEST_READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -o timeout=560 \
		--cov=gp_emq --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TEST_READY)
	$(BIN)/ruff format .

docs: $(TEST_READY)
	$(BIN)/sphinx-build -W -q docs build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf .venv build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than Python 3.11; name a newer one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(if $(wildcard $(VENV)/pyvenv.cfg),--clear) $(VENV)
	@touch $@

$(RUN_READY): $(CREATED) pyproject.toml constraints.txt
	$(PIP_INSTALL) -e .
	@touch $@

# What the tests need includes what a run needs.
$(TEST_READY): $(CREATED) pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[test]'
	@touch $(RUN_READY) $@
