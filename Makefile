# `make demo` and `make test` do all their own set-up, in .venv. Nothing else is needed but Python 3.10 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: help demo test quick lab docs slides bench readme package clean
help:        ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.user: setup.py settings.ini | $(VENV)/bin/python
	@echo "Installing into $(VENV); with PyTorch this takes a few minutes the first time."
	$(BIN)/python -m pip install -e .
	@touch $@

$(VENV)/.dev: setup.py settings.ini | $(VENV)/bin/python
	@echo "Installing into $(VENV); with PyTorch this takes a few minutes the first time."
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $@ $(VENV)/.user

demo: $(VENV)/.user  ## a real photograph becomes strokes: PNG, SVG, PDF and an animation, in demo/
	@mkdir -p demo
	$(BIN)/imageopt sample:china --loss MSELoss --colour --width 300 --lines 2000 --init-sigma2 1 --final-sigma2 1 --iters 500 \
	  --target-raster demo/target.png --init-raster demo/initial.png --init-pdf demo/initial.pdf --final-raster demo/final.png --final-pdf demo/final.pdf \
	  --animation demo/drawing.gif --scene demo/drawing.safetensors $(ARGS)
	@ls demo

test: $(VENV)/.dev   ## notebooks are clean and exported, every page runs, every test passes
	$(BIN)/python tests/in_step.py
	rm -rf $(VENV)/pictures
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tests/fresh.py $(VENV)/pictures
	NBDEV_TEST_RAN="$(abspath $(VENV))/pictures" $(BIN)/python -m pytest -q tests -n 2 --dist loadfile --no-loadscope-reorder --timeout 1500 --durations 20 $(ARGS)

quick: $(VENV)/.dev  ## the core rooms on a few examples, under two minutes
	DSKETCH_QUICK=1 $(BIN)/python -m pytest -q tests/test_rooms.py tests/test_raster.py tests/test_draw.py tests/test_losses.py tests/test_scene.py tests/test_models.py $(ARGS)

lab: $(VENV)/.dev    ## open the notebooks in JupyterLab
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyter lab nbs/index.ipynb

docs: $(VENV)/.dev   ## build the site into _docs/ (needs Quarto: https://quarto.org)
	@touch README.md
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/nbdev_docs

slides: $(VENV)/.dev ## ten figures for a talk: _slides/slides.html (shown, it needs a network: reveal.js)
	$(BIN)/python tests/slides.py $(ARGS)

bench: $(VENV)/.dev  ## measure this machine: every backend on the same workloads, then filled shapes
	$(BIN)/python benchmarks/draw.py $(ARGS)
	$(BIN)/python benchmarks/shapes.py

readme: $(VENV)/.dev ## write README.md from nbs/index.ipynb
	$(BIN)/python tests/in_step.py --write-readme

package: $(VENV)/.dev ## sdist and wheel, checked, and the wheel used in an empty folder
	rm -rf dist build
	$(BIN)/python -m build --quiet
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tests/smoke.py dist

clean:       ## remove the environment and everything that was built
	rm -rf $(VENV) _docs _proc _slides demo build dist *.egg-info
