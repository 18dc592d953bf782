# `make run` and `make test` do all set-up themselves, from a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
HOST ?= 127.0.0.1
SOURCES := accounts diagnosis forum mlcore xraysite tests benchmarks manage.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run install install-dev test check format lock messages clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: install ## Set everything up and serve on http://127.0.0.1:8000
	@$(BIN)/python -m xraysite.run --host $(HOST) --port $(PORT)

install: $(VENV)/.installed ## Make the virtual environment and install the locked requirements

install-dev: $(VENV)/.installed-dev ## The same, with what the tests and checks need

test: install-dev ## Set everything up and run every test
	@scripts/test

check: install-dev ## ruff, mypy, import-linter, djlint, biome, migrations and translations complete
	@scripts/check

format: install-dev ## Format Python code, style sheets and scripts
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	scripts/biome check --write

lock: install-dev ## Compile requirements.in and requirements-dev.in again, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  -c requirements.txt requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  requirements-node.in -o requirements-node.txt

messages: install-dev ## Collect and compile the translations (needs GNU gettext)
	$(BIN)/python manage.py makemessages -l zh_Hant --no-obsolete --no-location \
	  --ignore '.venv/*' --ignore 'node_modules/*' --ignore 'var/*' --ignore 'tests/*'
	$(BIN)/python manage.py compilemessages -l zh_Hant --ignore '.venv'

clean: ## Remove the virtual environment and caches; keeps var/ (the data)
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python: scripts/make-venv
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.installed: $(VENV)/.python requirements.txt
	@echo "Installing the locked requirements (TensorFlow among them; some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@echo "Installing what the tests and checks need ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@
