# Two commands on a fresh machine: `make run` and `make test`. All they need is Python 3.11 with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BACKTEST := .venv-backtest
AUDIT := .venv-audit
BENCH := .venv-bench

PORT ?= 8000
DATA ?= .journey

# Each process would compile all modules anew, which takes a second of CPU time.
unexport PYTHONDONTWRITEBYTECODE

# Of the tests: one more than cores, as they often wait for PostgreSQL.
WORKERS ?= auto

.PHONY: run install dashboard dashboard-test test test-full chaos chaos-full lint types contracts openapi docs bench \
  bench-small backtest code-metrics sbom licences audit outdated lock clean

run: install ## Start everything here, with the demo; without the dashboard if its packages cannot be fetched.
	$(BIN)/python dashboard/build.py --optional
	$(BIN)/journey up --demo --port $(PORT) --data-dir $(DATA)

install: $(STAMP) ## Set up .venv with the locked dependencies.

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

dashboard: install ## Build the dashboard into the Python package, if it or the contract has changed.
	$(BIN)/python dashboard/build.py

dashboard-test: install ## Types, lint, unit tests, sizes and browser tests of the dashboard.
	$(BIN)/python dashboard/check.py

test: install $(BENCH)/.installed lint types contracts dashboard-test ## Everything that CI runs.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-full: install ## All tests, with ten times as many examples of each property.
	JOURNEY_FULL=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

chaos: install ## Kills, freezes and outages, sized for 25 minutes on two cores; prints what was lost: nothing.
	JOURNEY_CHAOS=chaos $(BIN)/python -m pytest tests/chaos tests/upgrade -q -s -p no:cacheprovider

chaos-full: install ## The same with the numbers of the plan: hours.
	JOURNEY_CHAOS=full $(BIN)/python -m pytest tests/chaos tests/upgrade -q -s -p no:cacheprovider

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=tests $(BIN)/python -m upgrade.lint

types: install
	$(BIN)/mypy

contracts: install ## The layers: data flows one way.
	$(BIN)/lint-imports

openapi: install ## Write the published contract.
	$(BIN)/journey openapi --out openapi/openapi.json

docs: install ## Build the documentation as a site in site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: install $(BENCH)/.installed ## Benchmarks of this machine, at full size: about two hours. Compare ratios.
	PYTHONPATH=src $(BENCH)/bin/python bench/decisions.py --record
	$(BIN)/python bench/commands.py --record
	$(BIN)/python bench/startup.py --record
	$(BIN)/python bench/bad_days.py
	$(BIN)/python bench/ingest.py
	$(BIN)/python bench/ingest_ratios.py --record
	$(BIN)/python bench/api_workers.py --record
	$(BIN)/python bench/outbox.py --record
	$(BIN)/python bench/import_memory.py
	$(BIN)/python bench/stage_maps.py
	$(BIN)/python bench/lists.py --record
	$(BIN)/python bench/figures.py --record
	$(BIN)/python bench/timekeeping.py --record
	$(BIN)/python bench/churn_prediction.py
	$(BIN)/python bench/targets.py

bench-small: install $(BENCH)/.installed ## The same with few rows, to check that they run; the results mean nothing.
	PYTHONPATH=src $(BENCH)/bin/python bench/decisions.py 200
	$(BIN)/python bench/commands.py 1 --only "keys list"
	$(BIN)/python bench/startup.py 1 --rest 0
	$(BIN)/python bench/bad_days.py --only many_numbers
	$(BIN)/python bench/ingest.py --seconds 0.5 --batches 1 --lines 200
	$(BIN)/python bench/ingest_ratios.py 1 --seconds 0.5 --batches 1 --lines 200
	$(BIN)/python bench/api_workers.py 1 --seconds 0.5
	$(BIN)/python bench/outbox.py 50
	$(BIN)/python bench/import_memory.py 200 --kind csv
	$(BIN)/python bench/stage_maps.py 200 --turns 1
	$(BIN)/python bench/lists.py 2000 --runs 1 --only "sort name"
	$(BIN)/python bench/figures.py 1000
	$(BIN)/python bench/timekeeping.py 200 --seconds 0.2
	$(BIN)/python bench/churn_prediction.py 1000

backtest: $(if $(ARGS),install,$(BACKTEST)/.installed) ## The churn prediction on public data, or on a file: ARGS="--help".
	PYTHONPATH=src:bench $(if $(ARGS),$(BIN),$(BACKTEST)/bin)/python -m backtest $(ARGS)

$(BACKTEST)/.installed: requirements-backtest.lock ## What the back-test compares with, in an environment of its own.
	$(PYTHON) -m venv $(BACKTEST)
	$(BACKTEST)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-backtest.lock
	touch $@

$(BENCH)/.installed: requirements-bench.lock ## What decisions are compared with, in an environment of its own.
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

sbom: install $(AUDIT)/.installed ## Write bills of materials of the delivered packages to dist/, in the format CycloneDX.
	$(BIN)/python -m supply_chain.sbom $(AUDIT)/bin/cyclonedx-py

licences: install ## Check the licences of the delivered packages; the tests do so too.
	$(BIN)/python -m supply_chain.licences

audit: install $(AUDIT)/.installed ## Look for known vulnerabilities; needs their data, which is fetched.
	$(BIN)/python -m supply_chain.audit $(AUDIT)/bin/pip-audit

outdated: install ## List direct dependencies with a newer version, and those without a written reason.
	$(BIN)/python -m supply_chain.outdated

$(AUDIT)/.installed: requirements-audit.lock ## The tools of sbom and audit, in an environment of its own.
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	touch $@

code-metrics: install ## Sizes of folders, files and functions, names of classes, exemptions.
	$(BIN)/python bench/code_metrics.py

lock: ## Resolve the dependencies again; needs uv.
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --all-extras --upgrade pyproject.toml requirements-build.in -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url pyproject.toml requirements-build.in -c requirements.lock -o requirements-runtime.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url requirements-dashboard.in -c requirements.lock -o requirements-dashboard.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --upgrade requirements-backtest.in -c requirements.lock -o requirements-backtest.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --upgrade requirements-audit.in -o requirements-audit.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --upgrade requirements-bench.in -o requirements-bench.lock

clean:
	rm -rf $(VENV) $(BACKTEST) $(AUDIT) $(BENCH) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist dashboard/node_modules dashboard/test-results \
	  src/journey_service/dashboard
