# `make demo` and `make test` need Python 3.11 or later and nothing else; what is missing for a part is said aloud.

VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint types floors docs migrations fuzz torture bench ci matrix clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     the whole flow on this machine, in a browser   (ARGS=--check: drive the story, exit 0 or 1)"
	@echo "make test     the tests, on SQLite and on PostgreSQL         (ARGS='-k outbox -x': passed on to pytest)"
	@echo "              on MariaDB too, if TEST_MARIADB_URL names one   (mysql://user:password@host:port/name)"
	@echo "make lint | types | floors | docs | migrations | fuzz | torture | bench | matrix"
	@echo "make ci       all of the checks and the tests"

demo: $(VENV)/installed-demo
	$(BIN)/python -m testproject.demo $(ARGS)

# The driver of MariaDB is compiled where it is installed, so that nobody has it without need.
test: $(VENV)/installed-test $(if $(filter mysql:%,$(TEST_MARIADB_URL) $(TEST_DATABASE_URL)),$(VENV)/installed-mysql)
	$(BIN)/python .ci/test.py $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

floors: $(VENV)/installed-dev
	$(BIN)/lint-imports

docs: $(VENV)/installed-test
	$(BIN)/python .ci/docs.py

migrations: $(VENV)/installed-test
	$(BIN)/python manage.py makemigrations --check --dry-run

# Each kind of malformed request that often, for a nightly run. `make test` has a few hundred in all.
fuzz: $(VENV)/installed-test
	FUZZ_CASES=$(or $(CASES),10000) $(BIN)/python -m pytest tests/fuzz --timeout 0 $(ARGS)

# The tests that kill, as often as it takes to believe them. `make test` kills a few times.
torture: export KILLS := 100
torture: export SYNC_RECORDS := 50000
torture: export WORKER_KILLS := 20
torture: $(VENV)/installed-test
	$(BIN)/python .ci/test.py tests/integration/test_killed_sync.py tests/integration/test_killed_worker.py --timeout 0 $(ARGS)

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks $(ARGS)

# Interpreters that pyenv keeps are found without being switched on.
PYENV_BINS := $(wildcard $(HOME)/.pyenv/versions/3.1*/bin)
matrix: export PATH := $(subst $() ,:,$(strip $(PYENV_BINS) $(PATH)))
matrix: $(VENV)/installed-dev
	$(BIN)/tox $(ARGS)

# The tests come last, so that the last line of a run is their summary.
ci: lint types floors docs migrations test

clean:
	rm -rf $(VENV) .tox var build dist

# -- The environment: one stamp for each extra, so that a second run starts at once --------------------------------------

$(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) what '$*' needs; this happens once."
	@$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

# Installing an extra leaves what the smaller ones need, too.
$(VENV)/installed-test: | $(VENV)/installed-demo
$(VENV)/installed-dev: | $(VENV)/installed-test

$(VENV)/bin/python:
	@PYTHON="$(PYTHON)" sh .ci/venv.sh $(VENV)
