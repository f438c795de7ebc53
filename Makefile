# `make run` and `make test` are all that a fresh machine needs; both set up .venv first.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PARALLEL := -n auto --maxprocesses 4 --dist worksteal  # every test process keeps torch to one thread

BENCHMARKS := train_step overhead convolution accuracy main_job sweep start_up scaling nll image_folder many_runs shards accelerator

.PHONY: run test test-slow test-lowest bench docs style lint clean

run: .venv/installed  ## the main job with its defaults
	$(BIN)/python -m vae_lightning.train

test: .venv/installed  ## the default tests
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: .venv/installed  ## the long ones: wheel, sweeps, published numbers
	$(BIN)/python -m pytest -m slow $(PARALLEL)

test-lowest: .venv-lowest/installed  ## the default tests with the lowest versions that pyproject.toml allows
	.venv-lowest/bin/python -m pytest $(PARALLEL)

bench: .venv/installed  ## what training costs, beside its peers; half an hour on two quiet cores
	for each in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$each || exit; done
	$(BIN)/python -m benchmarks.document

docs: .venv/installed  ## the site of docs/, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'open site/index.html; its search needs a server: python -m http.server -d site'

style: .venv/installed  ## format and style
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

lint: style  ## and types
	$(BIN)/pyright

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.10 to 3.13 found: install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

.venv-lowest/installed: pyproject.toml  # Python 3.11 or 3.12: the lowest versions have no wheels for 3.13
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade pip packaging
	.venv-lowest/bin/python tests/support/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/lowest.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv .venv-lowest dist site
