"""The engine's RTL under cocotb: each test of the cocotb_*.py here is one of pytest's.

The engine of ``tiny`` is built once. LSTM_SHARP_SEED chooses other random models and stalls.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import pytest

from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render
from rtl.cocotb_cases import CFG, HLS, SEED

pytestmark = pytest.mark.rtl

HERE = Path(__file__).parent
SV_ALONE = {  # what HLS RTL is not held to: cycles, distances, and beats that its register slices
    # take early
    "start_written_while_running",
    "window_during_a_run",
    "wrong_count_of_x_words",
    "a_no_op_slot_too_few",
    "h_blocked_for_long",
}
MODULES = ("cocotb_registers", "cocotb_streams", "cocotb_faults")
Outcomes = dict[str, str]
"""By test: "" if it passed, else what went wrong."""
Simulate = Callable[..., tuple[Outcomes, str]]


def names_in(module: str) -> list[str]:
    """Names of the cocotb tests that a module defines; none would be a mistake of ours."""
    source = (HERE / f"{module}.py").read_text(encoding="utf-8")
    names = re.findall(r"^@cocotb\.test.*\nasync def (\w+)", source, re.MULTILINE)
    assert names and len(names) == source.count("@cocotb.")
    return [name for name in names if not (HLS and name in SV_ALONE)]


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    """Build the engine; return a function that runs a module, and gives outcomes and the log."""
    from cocotb_tools.runner import get_runner

    folder = tools.build_folder(CFG).resolve()
    render(CFG, folder)
    place = folder / ("cocotb-hls" if HLS else "cocotb")
    place.mkdir(exist_ok=True)
    rtl = verilate.chosen(CFG, folder, place)
    runner = get_runner("verilator")
    quiet = mock.patch.dict(os.environ, verilate.environment(), clear=True)
    with tools.alone(place / "build"), quiet:
        try:
            runner.build(
                sources=rtl.sources,
                hdl_toplevel=rtl.top,
                build_dir=place,
                build_args=[*rtl.flags, *verilate.QUICK],
                timescale=("1ns", "1ps"),
                log_file=place / "build.log",
            )
        except (RuntimeError, SystemExit) as error:
            pytest.fail(f"{error}\n{tail(place / 'build.log')}")

    def run(module: str, tests: str | Sequence[str]) -> tuple[Outcomes, str]:
        log, results = place / f"{module}.log", place / f"{module}.xml"
        results.unlink(missing_ok=True)
        try:
            runner.test(
                test_module=f"rtl.{module}",
                hdl_toplevel=rtl.top,
                testcase=tests,
                seed=SEED,
                # what has no reset starts at random
                plusargs=["+verilator+rand+reset+2", f"+verilator+seed+{SEED}"],
                test_dir=place,
                results_xml=str(results),
                log_file=log,
            )
        except (RuntimeError, SystemExit):
            pass  # told by the results, or by there being none
        return read(results), tail(log)

    return run


def read(results: Path) -> Outcomes:
    """Read cocotb's results; none if the simulation ended before it wrote them."""
    if not results.is_file():
        return {}
    outcomes = {}
    for case in ElementTree.parse(results).iter("testcase"):
        wrong = [child for child in case if child.tag in ("failure", "error", "skipped")]
        outcomes[case.get("name", "")] = " ".join(
            f"{child.tag}: {child.get('error_msg') or child.get('message') or child.text}"
            for child in wrong
        )
    return outcomes


def tail(log: Path) -> str:
    """Return the end of a log."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return "\n".join([f"{log}:", *text.splitlines()[-80:]])


@pytest.fixture(scope="session")
def module_run(simulate: Simulate) -> Simulate:
    """As ``simulate``, a module only once."""
    return cache(simulate)


@pytest.mark.parametrize(("module", "name"), [(m, n) for m in MODULES for n in names_in(m)])
def test_cocotb(module_run: Simulate, module: str, name: str) -> None:
    outcomes, log = module_run(module, tuple(names_in(module)))
    print(f"LSTM_SHARP_SEED={SEED}\n{log}")
    assert set(outcomes) == set(names_in(module)), "the simulation ended early, see its log"
    assert outcomes[name] == ""
