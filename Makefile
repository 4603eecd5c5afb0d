# Two commands do everything: `make demo` and `make test`. Each makes .venv and installs what it needs from PyPI.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
SECONDS ?=

.PHONY: demo test test-slow check format lock clean bench

demo: $(READY)  ## start the control plane and two real Envoys that talk mTLS with rotating certificates (SECONDS=60: unattended)
	$(VENV)/bin/legation demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(READY)  ## every test that is not marked slow
	$(PY) -m pytest -m "not slow" $(ARGS)

test-slow: $(READY)  ## the tests marked slow
	$(PY) -m pytest -m slow $(ARGS)

check: $(READY)  ## Ruff, mypy --strict, the architecture tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/arch

bench: $(READY)  ## the first benchmark, small
	$(PY) -m bench push --nodes 500 --resources 1000

format: $(READY)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# The environment: hashes for everything, the isolated build included (docs/decisions/0002).
$(READY): pyproject.toml hatch_build.py requirements/pip.lock requirements/build.lock requirements/dev.lock $(shell find protos -name '*.proto')
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pip.lock
	$(PY) -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(PY) -m pip install --quiet --no-deps --build-constraint requirements/build.lock --editable .
	touch $@

lock: $(READY)  ## renew the locks (uv comes into an environment of its own)
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes requirements/pip.in -o requirements/pip.lock
	$(VENV)/lock/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes requirements/build.in -o requirements/build.lock
	$(VENV)/lock/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes pyproject.toml -o requirements/run.lock
	$(VENV)/lock/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --extra demo --extra test --extra dev --extra bench pyproject.toml -o requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
