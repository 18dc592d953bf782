# `make run` and `make test` work in a fresh clone and do all set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
HOST ?= 127.0.0.1
SOURCES := accounts diagnosis exchange forum mlcore xraysite tests benchmarks manage.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run install install-train install-dev test soak check format lock messages clean

# An environment that already holds a larger set keeps it, and all of it is kept up to date.
has = $(wildcard $(VENV)/.installed-$(1))
LEVEL := $(if $(call has,dev),dev,$(if $(call has,train),train,serve))
TRAIN_LEVEL := $(if $(call has,dev),dev,train)

help: ## List the available commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: install ## Install what serving needs and serve on http://127.0.0.1:8000
	@$(BIN)/python -m xraysite.run --host $(HOST) --port $(PORT)

install: $(VENV)/.installed-$(LEVEL) ## Install what serving needs: no TensorFlow, no Keras

install-train: $(VENV)/.installed-$(TRAIN_LEVEL) ## Install TensorFlow and Keras too, to train models

install-dev: $(VENV)/.installed-dev ## Install everything, including tools for tests and checks

test: install-dev ## Install everything and run all tests
	@scripts/test

soak: install-dev ## Load, faults and 20,000 mutated files on a server of its own, for hours
	$(BIN)/python benchmarks/soak.py $(SOAK)

check: install-dev ## Run ruff, mypy, import-linter, djlint and Biome; check migrations and translations
	@scripts/check

format: install-dev ## Format Python code, style sheets and scripts
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	scripts/biome check --write

lock: install-dev ## Compile requirements*.in into the three locks; keeps locked versions
	@scripts/lock

messages: install-dev ## Collect and compile the translations
	@scripts/system-packages gettext
	$(BIN)/python manage.py makemessages -l zh_Hant --no-obsolete --no-location \
	  --ignore '.venv/*' --ignore 'node_modules/*' --ignore 'var/*' --ignore 'tests/*'
	$(BIN)/python manage.py compilemessages -l zh_Hant --ignore '.venv'

clean: ## Remove the virtual environment and caches; keeps var/ (the data)
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python: scripts/make-venv
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.installed-serve: $(VENV)/.python requirements-serve.txt scripts/install-locked
	@echo "Installing what serving needs (about 580 MB) ..."
	@scripts/install-locked $(BIN)/python requirements-serve.txt
	@touch $@

$(VENV)/.installed-train: $(VENV)/.python requirements.txt scripts/install-locked
	@echo "Installing everything, including TensorFlow (about 2.6 GB; takes a few minutes) ..."
	@scripts/install-locked $(BIN)/python requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.python requirements-dev.txt scripts/install-locked
	@echo "Installing everything, including tools for tests and checks (about 3.1 GB) ..."
	@scripts/install-locked $(BIN)/python requirements-dev.txt
	@touch $@
