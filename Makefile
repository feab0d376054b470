# Needs Python 3.11 or newer, make and a package index; everything else goes into .venv.
# Another Python: make setup PYTHON=/path/to/python
PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null)))
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
READY := .venv/.ready

.PHONY: help setup demo test test-slow clients test-clients check lint docs protocol bench eval train
.DEFAULT_GOAL := help

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1~\2/p' $(MAKEFILE_LIST) | awk -F'~' '{ printf "%-12s %s\n", $$1, $$2 }'

setup: $(READY) ## make .venv with the pinned dependencies

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found;" \
		"install one, or name yours: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("%s is Python %d.%d; 3.11 or newer is needed" \
		% (sys.executable, *sys.version_info[:2]))'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments;" \
		"on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making .venv, once (some minutes)"; $(PYTHON) -m venv .venv; }
	$(PIP_INSTALL) -e '.[runtime,clients,dev,docs]'
	@touch $@

demo: setup ## speak to the model and watch the picture form
	@$(BIN)/omni demo

test: setup ## run the quick tests, warnings as errors
	$(BIN)/python -m pytest -q

test-slow: setup ## run the tests that take long: quality, load, clients we did not write
	$(BIN)/python -m pytest -q -m 'slow or wild or eval'

clients: ## install clients we did not write, in environments of their own
	@test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check \
		-r tests/clients_in_the_wild/requirements.txt
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r tests/clients_in_the_wild/requirements-alone.txt
	@command -v npm >/dev/null || echo "npm is not installed: the clients on Node are left out" >&2
	@! command -v npm >/dev/null || npm ci --prefix tests/clients_in_the_wild/node --no-audit --no-fund --loglevel=error

test-clients: setup clients ## drive the server with clients we did not write
	$(BIN)/python -m pytest -q -m wild tests/clients_in_the_wild

protocol: setup ## write what is made from the protocol's structs: docs/protocol, tests/golden/wire
	$(BIN)/python -m omnisdk.write_protocol

lint: setup ## format, style, types and rules of import
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes omnisdk --ignoreexternal > .public_types.txt \
		|| { cat .public_types.txt; exit 1; }
	@grep score .public_types.txt

docs: setup ## write the documentation site to site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: lint docs test ## all checks

bench: setup ## measure speed; figures also go to bench.json, bench-sdk.json, a report of the load to bench-swarm/
	@test -x .venv-load/bin/python || $(PYTHON) -m venv .venv-load
	.venv-load/bin/python -m pip install --quiet --disable-pip-version-check -r runtime/benchmarks/swarm/requirements.txt
	$(BIN)/omni bench all --json bench.json
	$(BIN)/omni bench-sdk --json bench-sdk.json

eval: setup ## measure quality and what steps buy; figures go to omni-eval/, the model card and docs/presets.png
	$(PIP_INSTALL) -e '.[runtime,clients,dev,train,eval]'
	@mkdir -p omni-eval
	$(BIN)/omni eval quality --sheet omni-eval --json omni-eval/quality.json
	$(BIN)/omni eval speaking --json omni-eval/speaking.json
	$(BIN)/omni eval human --json omni-eval/human.json
	$(BIN)/omni eval tools --json omni-eval/tools.json
	$(BIN)/omni eval forms --json omni-eval/forms.json
	$(BIN)/omni eval card $(foreach name,quality speaking human tools forms,omni-eval/$(name).json)
	$(BIN)/omni eval presets --plot docs/presets.png --table docs/presets_table.md --json omni-eval/presets.json

train: setup ## make the embedded model again from nothing (hours; stop and start at will)
	$(PIP_INSTALL) -e '.[runtime,clients,dev,train]'
	$(BIN)/omni train all
