# saebrain: one command each to run, test and check. Nothing is done twice: stamp files in .venv remember what is installed.

PYTHON ?= python3
PORT ?= 8501
ADDRESS ?=
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) tools/install.py

# Python compiles what it imports, and keeps it: otherwise every start would compile all libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test lint format clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo "Settings: PORT=8501 (dashboard), ADDRESS=0.0.0.0 (serve other machines too), PYTHON=python3.12, ARGS=\"-k surface\" (for pytest)"

run: demo ## open the dashboard; the first time, install and build the demo study
	@$(PY) -m saebrain dashboard --port=$(PORT) $(if $(ADDRESS),--address=$(ADDRESS))

demo: $(VENV)/installed ## build the demo study in studies/demo
	@$(PY) -m saebrain demo

test: $(VENV)/installed-dev ## run all tests, those in a browser too
	@$(PY) tools/find_browser.py --install >/dev/null || [ "$$CI" != true ]
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/installed-dev ## check style, types and import rules
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) $(VENV)/bin/lint-imports --no-logo

format: $(VENV)/installed-dev ## rewrite the code in the house style
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

clean: ## remove what was installed and all caches; studies stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './studies/*' -prune -exec rm -rf {} +

$(VENV)/created:
	@command -v $(PYTHON) >/dev/null || { echo "saebrain: no $(PYTHON) here; run: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit("saebrain: needs Python 3.11 or newer, but $(PYTHON) is %d.%d; name another one: make run PYTHON=python3.11" % v)'
	@$(PYTHON) -c 'import ensurepip, sys' 2>/dev/null \
		|| $(PYTHON) -c 'import sys; sys.exit("saebrain: $(PYTHON) cannot make a virtual environment; run: apt-get install python%d.%d-venv" % sys.version_info[:2])'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created requirements.txt requirements-demo.txt
	@echo "Installing Python packages (a minute or a few the first time)"
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) --no-deps -r requirements-demo.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt requirements-peers.txt
	@echo "Installing development packages"
	@$(INSTALL) -r requirements-dev.txt
	@$(INSTALL) --no-deps -r requirements-peers.txt
	@touch $@
