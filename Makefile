# Two commands do all on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: demo test check format lint types imports bench soak soak-simulation soak-processes soak-kills clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev --config-settings editable_mode=compat
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m khepri.cli.demo

# What knows no clock, thread or socket, and commands, which are processes of their own, are tested
# on two cores at once; so are whole clusters, which mostly wait; the rest alone.
ON_TWO_CORES := tests/raft tests/machine tests/log tests/sim tests/cli tests/test_bench_harness.py \
	tests/test_optimised.py tests/test_packaging.py
CLUSTERS := tests/cluster

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 $(ON_TWO_CORES)
	$(BIN)/python -m pytest -n 2 $(CLUSTERS)
	$(BIN)/python -m pytest $(addprefix --ignore=,$(ON_TWO_CORES) $(CLUSTERS))

check: $(STAMP) lint types imports test

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/basedpyright --level error

imports: $(STAMP)
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# They take SEED (a new one), the first two SECONDS (600), the last one KILLS (1000).
soak: soak-simulation soak-processes soak-kills

soak-simulation: $(STAMP)
	$(BIN)/python -m tests.sim --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

soak-processes: $(STAMP)
	$(BIN)/python -m tests.integration --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

soak-kills: $(STAMP)
	KHEPRI_KILLS=$(or $(KILLS),1000) $(if $(SEED),KHEPRI_SEED=$(SEED)) \
		$(BIN)/python -m pytest -s tests/integration/test_integration_kill.py

clean:
	rm -rf .venv build dist *.egg-info
