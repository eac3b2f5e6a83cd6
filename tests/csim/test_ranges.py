"""The widths that the kernel declares: its values reach each one's last bit and never go over."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import cases
from cases import Case
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import csim
from lstm_sharp.model.model import GATES
from lstm_sharp.numerics import activation, formats
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from lstm_sharp.runtime import deploy, engines
from shapes_by_hand import make

pytestmark = pytest.mark.csim

_RANGES = csim.Variant(
    "csim-ranges",
    csim.gcc,
    ("-O1", "-DLSTM_SHARP_VITIS", "-I", str(Path(__file__).parent / "ranges")),
)
"""Its integers refuse what their width cannot hold, and note what they have held."""
_IN_BEATS = (8, 32, 64)
"""Widths of what streams are made of: bytes, states, biases."""
_TINY = config.load("tiny").of("hls")
CONFIGS = {
    **{name: config.load(name).of("hls") for name in config.shipped()},
    "plain": config.resized(_TINY, row_scales=0),
    **{f"tiny {f}": _TINY.with_format(f) for f in ("W16A16", "W8A8")},
}


def worst(cfg: Config, seed: int, negative: bool, cell: str) -> Case:
    """Make all products, biases, h and c as large as they can be, or all sums as small."""
    fmt = cfg.fmt
    most, least = (lambda bits: (1 << (bits - 1)) - 1), (lambda bits: -(1 << (bits - 1)))
    weight, scalar = fmt.weight_bits, least(fmt.activation_bits)
    x, hidden, steps = cfg.max_input, cfg.block, 2
    # Times the scalars, which are all at their least
    end = most(weight) if negative else least(weight) + (cfg.packed > 1)
    w_ih, w_hh = np.full((4 * hidden, x), end), np.full((4 * hidden, hidden), end)
    b = np.full(4 * hidden, (least if negative else most)(fmt.bias_bits))
    frac, shift = fmt.weight_frac_min, cfg.max_shift
    scales = {"kind": cell, "factor": 3 * cfg.row_scales}
    if cfg.row_scales and cell == "lstm":
        scales["c_shift"] = formats.MAX_C_SHIFT
    model = QuantModel(fmt, (QuantLayer(w_ih, w_hh, b, frac, shift, **scales),))
    xs = [np.full((steps, x), scalar)] * 2
    before = np.full((1, 2, hidden), scalar), np.full((1, 2, hidden), least(formats.C_BITS))
    before[1][0, 1] = most(formats.C_BITS)
    stages = deploy.deploy(model, cfg, "unfolded", steps)
    return Case(seed, cfg, model, stages, xs, before, True)


def needed(cfg: Config) -> dict[str, int]:
    """Fewest bits, signed, of what the kernel's types and variables hold, by their names.

    Worked out from the extremes of weights, activations and biases, not from the config's widths.
    """
    fmt = cfg.fmt
    weight, scalar = 1 << (fmt.weight_bits - 1), 1 << (fmt.activation_bits - 1)
    bias, most = 1 << (fmt.bias_bits - 1), weight - (cfg.packed > 1)
    low, high = -most * (scalar - (cfg.packed == 1)), most * scalar  # of a product
    shift, x, h = cfg.max_shift, cfg.max_input, cfg.max_hidden
    acc = ((x * low - bias << shift) + h * low, (x * high + bias - 1 << shift) + h * high)
    scaled = [7 * end for end in acc] if cfg.row_scales else acc
    beside = 4 * cfg.row_scales  # x_shift
    left = max(0, -cfg.z_shift_min)
    steps = 1 << activation.BASE_BITS  # y of tanh lies in [-steps, steps)
    factor, cell = 2 * steps - 1, 1 << (formats.C_BITS - 1)
    half_h = 1 << (2 * formats.SIGMA_FRAC - fmt.h_frac - 1)
    ends = {
        "Weight_t": (-weight, weight - 1),
        "Activation_t": (-scalar, scalar - 1),
        "BiasWord": (-bias << beside, (bias << beside) - 1),
        "Sum_t": (cfg.columns * low, cfg.columns * high),
        "Acc_t": acc,
        "wide": (scaled[0] << left, scaled[1] << left),
        "C_t": (-cell, cell - 1),
        "c": (-2 * cell, 2 * cell - 1),
        "Z_t": (-8 << activation.Z_FRAC, (8 << activation.Z_FRAC) - 1),
        "Tanh_t": (-steps, steps - 1),
        "Factor_t": (-factor, factor),
        "fc": (-2 * factor * cell, 2 * factor * (cell - 1)),  # doubled in place
        "ig": (-factor * factor, factor * factor),
        "out": (-factor * factor + half_h, factor * factor + half_h),
    }
    if cfg.gru:
        finer = 1 << formats.GRU_C_FRAC
        operand = cell + finer
        ends |= {
            "held_h": (-cell // 2, cell // 2 - 1),
            "operand": (-operand, operand - 1),
            "out": (-factor * operand, factor * operand),
        }
    if cfg.row_scales:
        ends |= {
            "Scales": (-1 << 5, (1 << 5) - 1),
            "Scaled_t": (scaled[0], scaled[1]),
            "Eight_t": (8 * acc[0], 8 * acc[1] + 1),  # of which one is taken for 7
            "wide_c": (-cell << formats.MAX_C_SHIFT, cell - 1 << formats.MAX_C_SHIFT),
        }
    return {name: bits_of(*both) for name, both in ends.items()}


def bits_of(least: int, most: int) -> int:
    """Fewest bits, signed, that hold both."""
    return 1 + max(~least, most).bit_length()


def test_values_of_every_shape_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of parts, and what banks keep that a row block does not meet, are no wider."""
    knobs = {"rows": 8, "columns": 16, "lanes": 2, "k_list": (8, 16, 64), "bias_blocks": 128}
    cfg = config.resized(_TINY, max_input=40, max_hidden=40, **knobs)
    monkeypatch.setenv("LSTM_SHARP_RANGES", str(tmp_path / "ranges"))
    program = csim.build(cfg, tmp_path, _RANGES)
    for case in (make(cfg, seed) for seed in range(12)):
        case.check(engines.play(program, [case.load, case.run])[1])


@pytest.mark.parametrize("name", CONFIGS)
def test_values_take_every_bit_and_no_more(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, noted = CONFIGS[name], tmp_path / "ranges"
    monkeypatch.setenv("LSTM_SHARP_RANGES", str(noted))
    program = csim.build(cfg, tmp_path, _RANGES)
    kinds = GATES if cfg.gru else ("lstm",)
    worsts = product((False, True), kinds)
    made = [worst(cfg, seed, *how) for seed, how in enumerate(worsts)]
    for case in [*made, *(cases.draw(cfg, seed) for seed in range(2006, 2012))]:
        differs, _ = case.play(program)
        assert not differs, differs
    seen: dict[tuple[int, bool], list[int]] = {}
    for line in noted.read_text().splitlines():
        bits, signed, least, most = map(int, line.split())
        ends = seen.setdefault((bits, bool(signed)), [0, 0])
        ends[:] = min(ends[0], least), max(ends[1], most)
    declared = {*needed(cfg).values(), cfg.product_bits}
    declared |= {cfg.packed_bits, cfg.packed * cfg.product_bits}
    assert {bits for bits, signed in seen if signed} <= {*declared, *_IN_BEATS}
    for bits in declared:
        assert bits_of(*seen[bits, True]) == bits, (bits, seen[bits, True])
    magnitude, position = activation.Z_BITS - 1, activation.FRAC_BITS
    for bits in (magnitude, position, activation.BASE_BITS, activation.SLOPE_BITS):
        assert seen[bits, False][1].bit_length() == bits, (bits, seen[bits, False])
