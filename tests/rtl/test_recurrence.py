"""The Verilog of the kernel's updates does what the kernel does, or is seen not to."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow.tools import ToolError
from workshop.recurrence import STEPS, Steps, cosim, dataflow

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.sv,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None, reason="clang is missing: pip install ziglang"
    ),
]
SHAPES = {"rows": 8, "columns": 16, "lanes": 2, "k_list": (8, 16, 64), "bias_blocks": 128}
BROKEN = {"add": "{0} - {1}", "and": "{0} | {1}", "xor": "{0} & {1}", "lshr": "{0} << {1}"}


def shapes() -> Config:
    return config.resized(config.load("tiny"), max_input=40, max_hidden=40, **SHAPES)


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("tiny", 20_000),
        *(
            pytest.param(name, 100_000, marks=pytest.mark.slow)
            for name in ("shapes", *config.shipped())
        ),
    ],
)
def test_verilog_and_kernel_keep_the_same_state(name: str, slots: int, tmp_path: Path) -> None:
    cfg = shapes() if name == "shapes" else config.load(name)
    program = cosim.build(Steps(cfg, tmp_path))
    for seed in (1, 2):
        said = cosim.run(program, slots, seed)
        assert [line.split(":")[0] for line in said] == list(STEPS)
        assert all(f"seed {seed}, {slots} slots" in line for line in said), said


@pytest.mark.parametrize(
    "op", [op if op == "add" else pytest.param(op, marks=pytest.mark.slow) for op in BROKEN]
)
def test_a_wrong_operation_is_seen(
    op: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dataflow._BINARY, op, BROKEN[op])
    program = cosim.build(Steps(config.load("tiny"), tmp_path))
    with pytest.raises(ToolError, match="slot [0-9]+: .* differs"):
        cosim.run(program, 10_000, seed=3)


def test_a_choice_turned_round_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow._Walk, "_inverse", lambda self, bits: bits)
    program = cosim.build(Steps(config.load("tiny"), tmp_path))
    with pytest.raises(ToolError, match="slot [0-9]+: .* differs"):
        cosim.run(program, 10_000, seed=3)
