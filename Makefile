# Needs Python >= 3.11 and make. Everything else is installed into $(VENV); $(WHEEL_VENV) has the wheel in its place.
PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print(sys.version.split()[0])')
CODE := src tests conftest.py $(wildcard benchmarks examples)
DOCS := $(wildcard README.md docs)
SOURCES := $(shell find src -name '*.py' -o -name py.typed)

# What a test run may look at: copied to a place without `src/`, so that only the installed wheel can be imported.
WHEEL_RUN := build/wheel-run
BESIDE_THE_TESTS := tests conftest.py pyproject.toml $(wildcard README.md CHANGELOG.md docs examples benchmarks)

# What takes minutes and is about how the engine behaves, not about what was packed: once, from the source.
ONCE := $(addprefix tests/,advice benchmarks drivers durable faults insight limits loadtest modes payloads properties \
    recording signals stores stress tuning)

# What does to real processes and files what happens to them.
FAULTS := tests/faults $(addprefix tests/stores/test_,damage.py faults.py postgres_faults.py)

# Many tests wait for processes to start, so two cores are busy with four at a time. Those of a file mostly stay in one
# process, and share what it sets up; who has nothing left takes some from others.
SIDE_BY_SIDE := -n 4 --dist worksteal

# The machine and the definition language: what decides, and what users write against; and the tests that are about them,
# which leave no branch of theirs out. To watch branches doubles the time that tests take, so nobody watches the others.
DEFINITION := flow routine slots signature hints context strategies firing fields options graph checks drawing \
    settings facts guard errors
COMPLETE := src/routilux/machine/*.py $(DEFINITION:%=src/routilux/%.py)
COMPLETING := $(addprefix tests/,definition durable errors limits machine properties recording strategies tuning)
comma := ,
empty :=
listed = $(subst $(empty) $(empty),$(comma),$(strip $(1)))

# The tests start thousands of processes: each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-crash test check test-faults test-faults-nightly test-source test-wheel wheel format bench bench-insight clean

help:
	@echo 'make demo | demo-crash | test | test-faults | test-faults-nightly | check | format | bench | bench-insight | clean   [PYTHON=python3.13]'

demo: $(VENV)/.cli
	$(BIN)/routilux demo

# The demo's job is stored, killed five times at random moments, and goes on each time.
demo-crash: $(VENV)/.cli
	$(BIN)/routilux demo --crash --limit 1200

test: check test-source test-faults test-wheel

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trials of faults, as many as a change gets; a table says how many of what. Nightly takes hours.
test-faults: $(VENV)/.dev
	ROUTILUX_FAULTS=ci $(BIN)/pytest -n 6 --dist load --maxschedchunk 1 $(FAULTS)

test-faults-nightly: $(VENV)/.dev
	ROUTILUX_FAULTS=nightly ROUTILUX_STRESS=full $(BIN)/pytest -n 3 --dist load $(FAULTS)

test-source: $(VENV)/.dev
	$(BIN)/pytest $(SIDE_BY_SIDE) --cov --cov-report= $(COMPLETING)
	$(BIN)/coverage report --include='$(call listed,$(COMPLETE))' --fail-under=100
	$(BIN)/pytest $(SIDE_BY_SIDE) $(patsubst %,--ignore=%,$(COMPLETING) $(FAULTS)) --doctest-modules --pyargs \
	    tests $(DOCS) routilux

test-wheel: $(WHEEL_VENV)/.wheel
	rm -rf $(WHEEL_RUN)
	mkdir -p $(WHEEL_RUN)
	cp -R $(BESIDE_THE_TESTS) $(WHEEL_RUN)
	cd $(WHEEL_RUN) && HYPOTHESIS_PROFILE=quick $(CURDIR)/$(WHEEL_VENV)/bin/python -m pytest $(SIDE_BY_SIDE) \
	    $(ONCE:%=--ignore=%) --doctest-modules --pyargs tests $(DOCS) routilux

wheel: build/.wheel

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# What a recording foretells against what is measured; the machine should have nothing else to do.
bench-insight: $(VENV)/.bench
	$(BIN)/python -m benchmarks.insight

format: $(VENV)/.dev
	$(BIN)/ruff check --fix --exit-zero --quiet $(CODE)
	$(BIN)/ruff format $(CODE)

clean:
	rm -rf $(VENV) $(WHEEL_VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis \
	    .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# A stamp stands for what pyproject.toml asks for: when that changes, or the version of Python, pip runs again.
# The installation is editable, so a change of the source needs none.
$(VENV)/.python-$(VERSION):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "routilux needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/.cli: $(VENV)/.python-$(VERSION) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,dask,store]'
	touch $@

$(VENV)/.dev: $(VENV)/.python-$(VERSION) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.cli

$(VENV)/.bench: $(VENV)/.python-$(VERSION) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(VENV)/.cli

build/.wheel: $(VENV)/.dev $(SOURCES) README.md LICENSE
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel .
	touch $@

$(WHEEL_VENV)/.python-$(VERSION):
	$(PYTHON) -m venv --clear $(WHEEL_VENV)
	touch $@

# What the wheel needs is that of $(VENV), whose link to the source is not followed from here.
$(WHEEL_VENV)/.wheel: $(WHEEL_VENV)/.python-$(VERSION) build/.wheel
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps build/wheel/*.whl
	there=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	    here=$$($(WHEEL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	    echo "$$there" > "$$here/needs.pth"
	touch $@
