# `make help` lists what can be made. Everything installed goes into .venv, the data of `make run` into data.

PYTHON ?= python3
SECONDS ?= 600
VENV := .venv
BIN := $(VENV)/bin
COMPILED := $(VENV)/compiled
CODE := $(wildcard __init__.py setup.* pyproject.toml api/admin/page/*.* \
  $(foreach room,api client consensus daemon storage,$(room)/*.py $(room)/*/*.py $(room)/*/*/*.py))
# Wheels rather than newer sources: no compiler is needed.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary --editable

.DEFAULT_GOAL := help
.PHONY: help run test test-compiled fuzz simulate torture lint bench compare clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

run: $(VENV)/for-run $(COMPILED)/made ## Set up, and start a standalone server on 127.0.0.1:2181
	@echo "znoded on 127.0.0.1:2181, data in ./data; Ctrl-C ends it. To talk to it, from another terminal:"
	@echo "  .venv/bin/znode                                    its own shell"
	@echo "  zkCli.sh -server 127.0.0.1:2181                    ZooKeeper's"
	@echo "  KazooClient(hosts='127.0.0.1:2181')                kazoo, and every other ZooKeeper client"
	@echo "  echo srvr | nc 127.0.0.1 2181                      how it is; nc 127.0.0.1 8080 takes every such word"
	@PYTHONPATH=$(COMPILED) exec $(BIN)/znoded start --data-dir data

test: $(VENV)/for-test ## Set up, and run the tests
	$(BIN)/python -m pytest

test-compiled: $(VENV)/for-test $(COMPILED)/made ## Set up, and run the tests on the compiled code
	@PYTHONPATH=$(COMPILED) $(BIN)/znoded --version | grep ' compiled' || \
	  { echo "It is not compiled. On Debian: sudo apt-get install gcc libc6-dev python3-dev; make clean" >&2; exit 1; }
	PYTHONPATH=$(COMPILED) $(BIN)/python -m pytest

fuzz: $(VENV)/for-test ## Set up, and try every decoder and model with new examples each time, for SECONDS=600
	@end=$$(($$(date +%s) + $(SECONDS))); while [ $$(date +%s) -lt $$end ]; do \
	  $(BIN)/python -m pytest -x -m hypothesis --hypothesis-profile=fuzz || exit; done

lint: $(VENV)/for-lint ## Set up, and check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=$(VENV)/src $(BIN)/mypy -p znoded

simulate: $(VENV)/for-test ## Run simulated ensembles on all cores: SEEDS=10000, or SEED=7 to see what happens in one; BACKEND=raft
	@PYTHONPATH=$(VENV)/src $(BIN)/python -m znoded.tests.consensus.simulate --backend $(or $(BACKEND),zab) --seeds $(or $(SEEDS),10000) $(if $(SEED),--seed $(SEED)) $(if $(FAULT),--fault $(FAULT))

torture: $(VENV)/for-test ## Kill, freeze, part and wipe an ensemble's servers under load, for SECONDS=600
	@PYTHONPATH=$(VENV)/src $(BIN)/python -m znoded.tests.ensemble.torture --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/for-test $(COMPILED)/made ## Set up, and measure against ZooKeeper and etcd; BENCH=--quick: only see that it works
	PYTHONPATH=$(COMPILED) $(BIN)/python -m znoded.bench.run $(BENCH)

compare: $(VENV)/for-run $(COMPILED)/made ## Set up, and measure the consensus backends against each other; COMPARE=--quick: in a minute
	@PYTHONPATH=$(COMPILED) $(BIN)/znoded compare $(COMPARE)

clean: ## Remove all that was set up and cached; ./data stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/for-run: $(VENV)/made setup.cfg pyproject.toml
	$(INSTALL) .
	@touch $@

$(VENV)/for-test: $(VENV)/made setup.cfg pyproject.toml
	$(INSTALL) '.[test]'
	@touch $(VENV)/for-run $@

$(VENV)/for-lint: $(VENV)/made setup.cfg pyproject.toml
	$(INSTALL) '.[test,lint]'
	@touch $(VENV)/for-run $(VENV)/for-test $@

# Apart from the checkout, where it could go stale. Without a C compiler it stays as it is, and somewhat slower.
$(COMPILED)/made: $(VENV)/made $(CODE)
	@echo "Compiling what each request passes; this takes two minutes."
	@rm -rf build $(COMPILED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(COMPILED) .
	@rm -rf build
	@touch $@

# src/znoded is this directory under the package's name: the type checker goes by names of folders.
$(VENV)/made:
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv; \
	  else \
	    echo "Python's venv is missing. On Debian: sudo apt-get install python3-venv" >&2; exit 1; \
	  fi; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/znoded
	@touch $@
