# The verbs of LSTM-Sharp. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CONFIG ?= $(or $(BOARD),pynq-z2)
RTL ?= sv
ENGINE ?= hls
BUILD ?= build
PYTEST ?=
PYTHON ?= python3

RUN := .venv/bin/python
READY := .venv/.ready
BENCH := .venv/.bench
PAPER := .venv/.paper
# PyTorch for a processor, of some 900 MB; PyPI's is for GPUs and brings 4 GB of NVIDIA's libraries.
TORCH ?= $(if $(GPU),torch,torch --index-url https://download.pytorch.org/whl/cpu)
# A file's tests stay together, for they share what they make; tests/conftest.py orders the files.
TESTS := $(RUN) -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# Without its pins, see pyproject.toml; Python 3.13 does without the virtual board.
PYNQ := pynq>=4.0,<5; python_version < '3.13'
# Without what hls4ml needs: its headers are all that is taken from it.
AP_TYPES := $(shell sed -nE 's/^ap-types = \["(.*)"\]$$/\1/p' pyproject.toml)
# Without what they need: trained weights are all that is taken from them.
PUBLISHED := $(shell sed -nE '/^published = /,/^]/s/^ +"(.*)",$$/\1/p' pyproject.toml)
VITIS = $(RUN) -m lstm_sharp.vendor.vitis "$(CONFIG)" --build "$(BUILD)"
CPP := find hls host -name '*.cpp' -o -name '*.hpp'

# What `setup` needs of the system: command and the Debian package that brings it.
TOOLS := $(PYTHON):python3-venv g++:g++ make:make perl:perl

.PHONY: help setup demo test test-all lint prove render csim cosim hls overlay qualify resources figures gallery tables pictures docs
.PHONY: bench paper clean size wheel sbom notebooks mutants coverage soak
.PHONY: libpython

help: ## list the verbs
	@echo "make VERB [CONFIG=$(CONFIG)] [BOARD=$(or $(BOARD),the config's)] [RTL=$(RTL)] [ENGINE=$(ENGINE)] [BUILD=$(BUILD)]"
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 14

setup: $(READY) ## make .venv with all that the other verbs need (they do it themselves)

demo: setup ## recognise speakers with an LSTM on the simulated accelerator
	@$(RUN) -m workshop.demo

test: setup libpython ## tests without vendor tools, about 10 minutes on two cores; PYTEST= for more options
	@$(TESTS) $(PYTEST)

test-all: setup libpython ## the slow tests too; Vitis and board tests where those are
	@$(TESTS) -m "" $(PYTEST)

mutants: setup libpython ## change the sources a little 200 times, and count what tests notice, an hour and a half; MUTANTS= for more options
	@$(RUN) -m workshop.mutants $(MUTANTS)

coverage: setup libpython ## lines that tests run, of Python and both engines, half an hour; TESTS= for some
	@$(RUN) tests/covered.py $(TESTS)

soak: setup ## draw cases over everything for HOURS= (0.1), from where the last soak ended; SEED= plays one again
	@$(RUN) tests/soak.py $(if $(HOURS),--hours $(HOURS)) $(if $(SEED),--seed $(SEED))

lint: setup ## check style, types, and both engines' sources
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-logo
	$(RUN) -m workshop.size --quiet
	$(CPP) | xargs -r .venv/bin/clang-format --dry-run -Werror
	$(RUN) -m lstm_sharp.flow.verilate --lint
	$(RUN) -m workshop.checker
	$(RUN) -m workshop.tables --check

prove: setup ## prove the RTL's units by induction: tiny, pynq-z2 and zcu104, or CONFIG=; UNIT= for one
	@$(RUN) -m workshop.prove $(if $(filter file,$(origin CONFIG)),,$(CONFIG)) $(if $(UNIT),--only $(UNIT))

size: setup ## count code lines by room and file, against their budgets
	@$(RUN) -m workshop.size

render: setup ## write HLS sources and RTL of CONFIG to BUILD
	@.venv/bin/lstm-sharp render --config $(CONFIG) -o $(BUILD)/$(CONFIG)-project

csim: setup ## compile the C++ kernel with g++ and test it
	@$(RUN) -m pytest tests/csim

cosim: setup libpython ## test the RTL with Verilator: RTL=sv, or RTL=hls of Vitis HLS (HLS_PROJECT=)
	@export LSTM_SHARP_RTL="$(RTL)"; \
	if [ "$(RTL)" = hls ]; then \
	  export LSTM_SHARP_HLS_PROJECT="$(or $(HLS_PROJECT),$$($(VITIS) --where))"; \
	  [ -e "$$LSTM_SHARP_HLS_PROJECT/made.json" ] || $(VITIS) --stages csynth,cosim; fi; \
	$(RUN) -m pytest tests/rtl

hls: setup ## Vitis HLS: C simulation, synthesis, cosimulation, IP (XILINX_SETTINGS=settings64.sh)
	@$(VITIS)

overlay: setup ## Vivado: BOARD's bitstream and .hwh, with the ENGINE hls (after 'make hls') or sv
	@$(RUN) -m lstm_sharp.vendor.vivado $(BOARD) --config "$(CONFIG)" --engine "$(ENGINE)" --build "$(BUILD)"

qualify: setup libpython ## all of hls, cosim, overlay for BOARD, and a package that the board completes
	@$(RUN) -m lstm_sharp.vendor.qualify $(BOARD) --config "$(CONFIG)" --engine "$(ENGINE)" --build "$(BUILD)"

resources: setup ## count LUTs, DSPs, BRAMs with Yosys, look for long paths: all configs, or CONFIG=
	@$(RUN) -m workshop.resources $(if $(filter file,$(origin CONFIG)),,$(CONFIG))
	@$(RUN) -m workshop.recurrence $(if $(filter file,$(origin CONFIG)),,$(CONFIG))
	@$(RUN) -m workshop.tables

figures: setup ## simulate the figures that the documentation shows
	@$(RUN) -m workshop.figures

gallery: setup ## run published models whole, for the documentation's table, some minutes
	@$(RUN) tests/gallery.py

notebooks: setup ## run the notebooks on a virtual board, and store what they show
	@$(RUN) -m workshop.notebooks

tables: setup ## make the documentation's tables from docs/results/
	@$(RUN) -m workshop.tables

pictures: setup ## draw the documentation's pictures from docs/results/, and show a report of the demo's model
	@$(RUN) -m workshop.pictures
	@PYTHONPATH=tests $(RUN) -m bench.chart
	@PYTHONPATH=tests $(RUN) -m report_picture

docs: setup ## build the documentation's site, build/docs/index.html; warnings are errors
	@$(RUN) -m workshop.site "$(BUILD)/docs"

wheel: setup ## write dist/lstm_sharp-*.whl, to install elsewhere
	@$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/lstm_sharp-*.whl

sbom: setup ## list what an installed package consists of, with licences: dist/lstm_sharp-*.cdx.json
	@$(RUN) -m workshop.sbom

bench: $(BENCH) ## measure csim, golden model and hls4ml side by side, about 12 minutes
	@OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests $(RUN) -m bench.bench
	@PYTHONPATH=tests $(RUN) -m bench.importing
	@PYTHONPATH=tests $(RUN) -m bench.building

paper: $(PAPER) ## redo the paper's tables and figures in docs/paper: MEASURE=1 times the processor anew, GPU=1 a GPU
	@$(RUN) -m workshop.paper $(if $(MEASURE),--measure) $(if $(GPU),--gpu)
	@$(RUN) -m workshop.tables

clean: ## remove BUILD and caches, keep .venv
	rm -rf -- "$(BUILD)" .pytest_cache .mypy_cache .ruff_cache .hypothesis

# cocotb loads Python as a library; a python3 without one runs all but the RTL tests.
libpython: $(READY)
	@if [ -z "$$($(RUN) -m find_libpython)" ]; then \
	  v=$$($(RUN) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "libpython$$v.so is missing (cocotb needs it): sudo apt install libpython$$v" >&2; exit 2; fi

$(READY): pyproject.toml
	@[[ "$(CURDIR)" != *" "* ]] || { \
	  echo "Verilator cannot build below a path with a space: move $(CURDIR)" >&2; exit 2; }
	@missing=; for tool in $(TOOLS); do \
	  command -v "$${tool%%:*}" >/dev/null || missing+=" $${tool##*:}"; done; \
	if command -v $(PYTHON) >/dev/null; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Python >= 3.10 is needed, $$($(PYTHON) -V 2>&1) found: sudo apt install python3.11 python3.11-venv; make setup PYTHON=python3.11" >&2; exit 2; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing+=" python3-venv"; fi; \
	[ -z "$$missing" ] || { echo "missing on this machine: sudo apt install$$missing" >&2; exit 2; }
	@echo "setting up .venv (about 2.3 GB, once)"
	@[ -x .venv/bin/pip ] || $(PYTHON) -m venv --clear .venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps "$(PYNQ)" "$(AP_TYPES)" $(PUBLISHED)
	@touch $@

$(BENCH): $(READY)
	@echo "adding hls4ml and Keras to .venv (about 600 MB, once)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

$(PAPER): $(READY)
	@echo "adding PyTorch to .venv (about 900 MB, once)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(TORCH) || \
	  echo "PyTorch could not be added: its rows will say so" >&2
	@touch $@
