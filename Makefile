# The verbs of LSTM-Sharp. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CONFIG ?= pynq-z2
BOARD ?= $(CONFIG)
RTL ?= sv
ENGINE ?= hls
BUILD ?= build
PYTHON ?= python3

RUN := .venv/bin/python
READY := .venv/.ready
BENCH := .venv/.bench
CPP := find hls -name '*.cpp' -o -name '*.hpp'

# What `setup` needs of the system: command and the Debian package that brings it.
TOOLS := $(PYTHON):python3-venv g++:g++ make:make perl:perl

.PHONY: help setup demo test test-all lint render csim cosim hls overlay resources figures tables
.PHONY: bench paper clean
.PHONY: libpython

help: ## list the verbs
	@echo "make VERB [CONFIG=$(CONFIG)] [BOARD=$(BOARD)] [RTL=$(RTL)] [ENGINE=$(ENGINE)] [BUILD=$(BUILD)]"
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' Makefile | expand -t 14

setup: $(READY) ## make .venv with all that the other verbs need (they do it themselves)

demo: setup ## recognise speakers with an LSTM on the simulated accelerator
	@$(RUN) -m lstm_sharp.demo

test: setup libpython ## tests without vendor tools, under 10 minutes
	@$(RUN) -m pytest

test-all: setup libpython ## the slow tests too; Vitis and board tests where those are
	@$(RUN) -m pytest -m ""

lint: setup ## check style, types, and both engines' sources
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(CPP) | xargs -r .venv/bin/clang-format --dry-run -Werror
	$(RUN) -m lstm_sharp.build.verilate --lint tiny pynq-z2 zcu104
	$(RUN) -m lstm_sharp.report.tables --check

render: setup ## write HLS sources and RTL of CONFIG to BUILD
	@.venv/bin/lstm-sharp render --config $(CONFIG) -o $(BUILD)/$(CONFIG)-project

csim: setup ## compile the C++ kernel with g++ and test it
	@$(RUN) -m pytest tests/csim

cosim: setup libpython ## build the RTL engine with Verilator and test it
	@[ "$(RTL)" = sv ] || { \
	  echo "RTL=$(RTL) is not built yet: RTL=sv simulates the SystemVerilog engine." >&2; exit 2; }
	@$(RUN) -m pytest tests/rtl

# Planned verbs say so in one sentence and fail, so that no script takes them for done.
planned = @echo "make $@ is not built yet: $(1)." >&2; exit 2

hls: ## (planned) synthesise with Vitis HLS
	$(call planned,'make render' writes the HLS project; 'make csim' runs its kernel with g++)

overlay: ## (planned) build BOARD's overlay with Vivado, from the ENGINE hls or sv
	$(call planned,'make render' writes the sources for $(BOARD); 'make cosim' simulates them)

resources: setup ## count LUTs, DSPs, BRAMs with Yosys, look for long paths: all configs, or CONFIG=
	@$(RUN) -m lstm_sharp.build.resources $(if $(filter file,$(origin CONFIG)),,$(CONFIG))
	@$(RUN) -m lstm_sharp.report.tables

figures: setup ## simulate the figures that the documentation shows
	@$(RUN) -m lstm_sharp.report.figures

tables: setup ## make the documentation's tables from docs/results/
	@$(RUN) -m lstm_sharp.report.tables

bench: $(BENCH) ## measure csim, golden model and hls4ml side by side, about 10 minutes
	@OPENBLAS_NUM_THREADS=1 PYTHONPATH=tests $(RUN) -m bench.bench

paper: ## (planned) redo the paper's figures
	$(call planned,'lstm-sharp perf' gives single points of the cycle model)

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
	@echo "setting up .venv (about 400 MB, once)"
	@[ -x .venv/bin/pip ] || $(PYTHON) -m venv --clear .venv
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BENCH): $(READY)
	@echo "adding hls4ml and Keras to .venv (about 600 MB, once)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@
