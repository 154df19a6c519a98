# Everything runs inside .venv, made from the pinned versions in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test lint types tests slow editor fields bench clean help

help:
	@echo "make demo    a phone call on this machine: host, simulator and the sample agents"
	@echo "make test    linters, types and the tests, in a minute"
	@echo "make slow    the tests that run commands as processes, in real time"
	@echo "make editor  what an author's editor shows, against what 'switchboard check' finds (needs Node.js)"
	@echo "make fields  the README's table of fields out of the schema"
	@echo "make bench   timings against the SDK's stock SIP model, in the same run"
	@echo "make clean   remove what make made"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Switchboard needs Python 3.11 or newer; say which with PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing Switchboard into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/switchboard demo

test: lint types tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP)
	$(BIN)/pytest

slow: $(STAMP)
	$(BIN)/pytest -m slow

# The editor's own language server, from npm, beside the virtual environment.
SERVER := .node/node_modules/yaml-language-server/package.json

$(SERVER): tests/editor/package.json
	@command -v npm >/dev/null || { echo "make editor needs Node.js 20 or newer, with npm"; exit 1; }
	@mkdir -p .node && cp tests/editor/package.json .node/
	@npm install --prefix .node --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $(SERVER)

editor: $(STAMP) $(SERVER)
	$(BIN)/pytest tests/editor

fields: $(STAMP)
	$(BIN)/python -m tests.test_fields

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .node .pytest_cache .mypy_cache .ruff_cache .hypothesis
