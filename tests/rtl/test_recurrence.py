"""The wires of the kernel's updates do what the kernel does, or are seen not to."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import ToolError
from workshop import datapath
from workshop.recurrence import STEPS, Steps

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.sv,
    pytest.mark.skipif(
        importlib.util.find_spec("ziglang") is None, reason="clang is missing: pip install ziglang"
    ),
]
SHAPES = {"rows": 8, "columns": 16, "lanes": 2, "k_list": (8, 16, 64), "bias_blocks": 128}
CONFIGS = {
    **{name: config.load(name) for name in config.shipped()},
    "shapes": config.resized(config.load("tiny"), max_input=40, max_hidden=40, **SHAPES),
}
BROKEN = {"add": "{0} - {1}", "and": "{0} | {1}", "xor": "{0} & {1}", "lshr": "{0} << {1}"}


@pytest.mark.parametrize(
    ("name", "slots"),
    [("tiny", 20_000), *(pytest.param(n, 100_000, marks=pytest.mark.slow) for n in CONFIGS)],
)
def test_wires_and_kernel_keep_the_same_state(name: str, slots: int, tmp_path: Path) -> None:
    said = Steps(CONFIGS[name], tmp_path).compare(slots, seed=1)
    assert said == [f"{step}: {slots} slots are the same" for step in STEPS]


@pytest.mark.parametrize(
    "wrong", ["not", *(pytest.param(op, marks=pytest.mark.slow) for op in BROKEN)]
)
def test_a_wrong_wire_is_seen(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if wrong == "not":
        monkeypatch.setattr(datapath._Walk, "_inverse", lambda self, bits: bits)
    else:
        monkeypatch.setitem(datapath._BINARY, wrong, BROKEN[wrong])
    with pytest.raises(ToolError, match="slot [0-9]+: .* differs"):
        Steps(CONFIGS["tiny"], tmp_path).compare(10_000, seed=3)
