"""csim in depth: more compilers and types, and the kernel's slots."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

import pytest

import compilers
from cases import KERNELS, Case, draw, engine
from lstm_sharp.compiler.cycles import hls_cycles, predict
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import make_plan
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER
from lstm_sharp.errors import EngineError, ToolError
from lstm_sharp.flow import csim
from lstm_sharp.runtime import engines

pytestmark = pytest.mark.csim

_DOCS = Path(__file__).parents[2] / "docs"
VARIANTS = {variant.name: variant for variant in compilers.VARIANTS}
ENGINES = KERNELS | {
    # The multipliers of pynq-z2, with three shapes of their tile
    "pynq-z2-shapes": engine(
        "pynq-z2-shapes", "rows=4 columns=64 lanes=1 k_list=4,8,16", KERNELS["pynq-z2"]
    ),
}
SOON = {("shapes", variant) for variant in VARIANTS} | {("pynq-z2", "csim-sanitized")}
"""What is not left to make test-all: to compile takes longest."""


@lru_cache
def executable(cfg: Config, variant: csim.Variant) -> Path:
    return csim.build(cfg, Path("build"), variant)


@cache
def drawn(cfg: Config, seed: int) -> Case:
    return draw(cfg, seed)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(name, v, marks=[] if (name, v) in SOON else pytest.mark.slow)
        for name in ENGINES
        for v in VARIANTS
    ],
)
def test_every_build_equals_golden_in_every_bit(name: str, variant: str) -> None:
    cfg = ENGINES[name]
    for case in (drawn(cfg, seed) for seed in range(1000, 1012)):
        differs, taken = case.play(executable(cfg, VARIANTS[variant]))
        assert not differs, differs
        slots = [p.encode(cfg)[HEADER["slots"].word] for _, _, p in case.programs()]
        assert taken == slots, str(case)


def test_distances_count_from_the_slot_that_finishes() -> None:
    """What is finished in the first turn is D slots old when it is read, though D - 3 would do."""
    cfg = KERNELS["one-column"]
    fixed = {"sizes": (3, 4), "lengths": (5,), "state": False, "give": False, "chains": 1}
    case = draw(cfg, 300, kinds=("forward",), schedule="unfolded", **fixed)
    _, (_, _, program) = case.programs()
    instructions = list(program.instructions)
    waits = max(range(len(instructions)), key=lambda n: instructions[n].nops)
    instructions[waits] = replace(instructions[waits], nops=instructions[waits].nops - 1)
    less = replace(program, instructions=tuple(instructions)).encode(cfg)
    load, good = case.runs()
    with pytest.raises(EngineError, match="only 29 slots after it was written; 30 are promised"):
        engines.play(executable(cfg, csim.RELEASE), [load, replace(good, program=less)])


def test_public_headers_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hls4ml's own first, then the folder that is named; neither is one sentence."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv(compilers.AP_TYPES, str(tmp_path))
    with pytest.raises(ToolError, match="no ap_types headers: pip install"):
        compilers.ap_types()
    (tmp_path / "ap_int.h").touch()
    assert compilers.ap_types() == tmp_path


def test_clang_is_the_wheels_or_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compilers.clang()[0] == sys.executable
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolError, match="^no clang: pip install ziglang, .* apt-get install clang.$"
    ):
        VARIANTS["csim-clang"].compiler()
    (tmp_path / "clang++").touch(0o755)
    assert VARIANTS["csim-clang"].compiler()[0] == tmp_path / "clang++"


def figures(name: str, size: int, chains: int) -> tuple[int, int, int, int]:
    """Slots and cycles of 64 steps, ``unfolded``: of the RTL, of the kernel, each with its D."""
    programs = {}
    for kind in ("sv", "hls"):
        cfg = config.load(name).of(kind)
        plan = make_plan([LayerShape(size, size)], cfg, "unfolded", sequences=chains)
        programs[cfg] = plan.program((64,) * chains)
    (sv, on_sv), (hls, on_hls) = programs.items()
    rtl = predict(sv, on_sv)
    slots = int(on_hls.encode(hls)[HEADER["slots"].word])  # test_csim: what the kernel runs
    return rtl.tiles + rtl.nops, slots, rtl.cycles, hls_cycles(hls, on_hls)


def test_kernel_spends_at_most_five_percent_more_than_the_rtl() -> None:
    for chains in (1, 4):
        rtl_slots, slots, rtl_cycles, cycles = figures("pynq-z2", 128, chains)
        assert slots <= 1.05 * rtl_slots
        assert cycles <= 1.05 * rtl_cycles


def test_kernel_page_shows_these_figures() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| (\d+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|",
        (_DOCS / "kernel.md").read_text(),
        re.MULTILINE,
    )
    assert {row[0] for row in rows} == set(config.shipped())
    for name, *numbers in rows:
        size, chains, *shown = (int(n.replace(",", "")) for n in numbers)
        assert tuple(shown) == figures(name, size, chains)
