PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# the CPU build of this release; an installed torch of your own is kept
TORCH ?= torch==2.13.0

.PHONY: demo test test-full check bench clean

demo: $(VENV)/.installed
	$(BIN)/batchwright plan recipes/quickstart/cpu-1x2.yaml
	$(BIN)/batchwright run recipes/quickstart/cpu-1x2.yaml

test: $(VENV)/.installed $(VENV)-base/.installed check
	$(BIN)/python -m pytest -m "not full"

test-full: $(VENV)/.installed $(VENV)-base/.installed check
	$(BIN)/python -m pytest

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed $(VENV)-base/.installed
	$(BIN)/python benchmarks/start_up.py --base $(VENV)-base/bin/python
	$(BIN)/python benchmarks/witness_overhead.py
	$(BIN)/python benchmarks/beat_cost.py
	$(VENV)-base/bin/python benchmarks/accuracy.py

# torch first: without it every other package would bring a CUDA build of several GB
$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/pip install --quiet "$(TORCH)"
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet -e ".[train,test]"
	touch $@

# planning needs nothing but the base: its own environment proves it
$(VENV)-base/.installed: setup.cfg pyproject.toml
	test -x $(VENV)-base/bin/python || $(PYTHON) -m venv $(VENV)-base
	$(VENV)-base/bin/pip install --quiet -e .
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-base runs build *.egg-info
