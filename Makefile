# One target for each check. `make check` is the fast loop, under two minutes on two quiet cores; `make test` is everything.
# PYTHON names the interpreter that makes .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A file's tests share their servers, so a file stays in one process. Suites that measure time or kill run alone.
SPREAD := -n logical --maxprocesses 8 --dist loadfile

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

.PHONY: install format lint types imports unit contract slow e2e fault clients check test
install: $(VENV)/.installed
format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
types: install
	$(BIN)/mypy
imports: install
	$(BIN)/lint-imports
unit: install
	$(BIN)/pytest -q $(SPREAD) tests/unit --doctest-modules src/modelyard --ignore src/modelyard/stores/sql/migrations
contract: install
	$(BIN)/pytest -q $(SPREAD) tests/contract -m "not slow"
slow: install
	$(BIN)/pytest -q tests/contract -m slow
e2e: install .clients/awscli/.made
	$(BIN)/pytest -q tests/e2e
fault: install
	$(BIN)/pytest -q tests/fault
.clients/%/.made: tests/clients/%.txt
	test -x .clients/$*/bin/python || $(PYTHON) -m venv .clients/$*
	.clients/$*/bin/pip install -q -r $<
	touch $@
clients: install $(patsubst tests/clients/%.txt,.clients/%/.made,$(wildcard tests/clients/*.txt))
	$(BIN)/pytest -q tests/clients
check: lint types imports unit contract
test: check slow e2e fault clients
