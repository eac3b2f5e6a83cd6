"""From floats to the integers that every backend runs: scales and rounding of weights, x and h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Cell, Layer, Levels, Model
from lstm_sharp.numerics.formats import C_BITS, C_FRAC, Format

DEFAULT_MAX_SHIFT = 8
"""Largest x_shift when no engine config says otherwise."""


@dataclass(frozen=True)
class QuantLayer(Cell):
    """One LSTM cell in integers. Real weight = integer * 2**-frac.

    The accumulator's LSB is 2**-(h_frac + w_hh_frac); the x-part's is 2**x_shift times that, and
    the bias is given in it.
    """

    w_ih: np.ndarray  # (4H, X) int64, within the format's weight bits
    w_hh: np.ndarray  # (4H, H) int64
    b: np.ndarray  # (4H,) int64, within the format's bias bits
    x_frac: int
    w_ih_frac: int
    w_hh_frac: int
    x_shift: int
    reverse: bool = False


@dataclass(frozen=True)
class QuantModel(Levels[QuantLayer]):
    """A stack of integer cells, ordered as in ``Model``, and the scale of its input.

    Raises:
        UsageError: cells that make no stack; see ``Levels.levels``.
    """

    fmt: Format
    layers: tuple[QuantLayer, ...]
    name: str = "model"
    head: Callable[[np.ndarray], np.ndarray] | None = None
    notes: tuple[str, ...] = field(default=())
    """What was coarsened beyond the format, in words."""
    directions: tuple[int, ...] | None = None
    """Cells of each level, 1 or 2; None when each has one."""

    @property
    def x_frac(self) -> int:
        """Fraction bits of the input x."""
        return self.layers[0].x_frac

    @property
    def macs_per_step(self) -> int:
        """Multiplications of one time step through all cells."""
        return sum(4 * q.hidden_size * (q.input_size + q.hidden_size) for q in self.layers)

    def quantize_input(self, x: np.ndarray) -> np.ndarray:
        """Turn x (batch, time, X) float into int64, rounded half up, saturated."""
        return _to_int(x, self.x_frac, self.fmt.activation_bits)

    def clipped(self, x: np.ndarray) -> int:
        """Count values of x (..., X) float that saturate, by more than the one LSB at the top."""
        most = 2.0 ** (self.fmt.activation_bits - 1 - self.x_frac)
        return int(np.count_nonzero(np.abs(x) > most))

    def quantize_state(self, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn h and c (cells, batch, H) float into int64, rounded half up, saturated."""
        return _to_int(h, self.fmt.h_frac, self.fmt.activation_bits), _to_int(c, C_FRAC, C_BITS)

    def dequantize_h(self, h: np.ndarray) -> np.ndarray:
        """Turn integer h into float32."""
        return (np.asarray(h) * 0.5**self.fmt.h_frac).astype(np.float32)

    def dequantize_c(self, c: np.ndarray) -> np.ndarray:
        """Turn integer c into float32 (exact: 24 bits)."""
        return (np.asarray(c) * 0.5**C_FRAC).astype(np.float32)


def saturated(c: np.ndarray) -> int:
    """Count values of integer c, any shape, that stand at one of its limits."""
    most = (1 << (C_BITS - 1)) - 1
    return int(np.count_nonzero((c >= most) | (c < -most)))


def quantize(
    model: Model, fmt: Format, calibration: np.ndarray, max_shift: int = DEFAULT_MAX_SHIFT
) -> QuantModel:
    """Choose power-of-two scales from the data and round.

    Args:
        model: the float model.
        fmt: widths of weights and activations.
        calibration: x as the model will see it, (..., X) float; sets the scale of the input, which
            values that are all the same do not tell.
        max_shift: the largest x_shift of the engine.

    Raises:
        UsageError: NaN in the data, or nothing but one value; or recurrent weights of 128 and more.
    """
    calibration = np.asarray(calibration, dtype=np.float64)
    if calibration.size == 0 or not np.isfinite(calibration).all():
        raise UsageError(
            f"calibration data of shape {calibration.shape} is empty or has NaN or infinity; "
            "give a few typical inputs"
        )
    if calibration.min() == calibration.max():
        raise UsageError(
            f"calibration data (without any: the first input) is {calibration.flat[0]:g} "
            "throughout, which does not tell the scale of x; give a few typical inputs"
        )
    x_frac = _largest_frac(calibration, fmt.activation_bits, fmt.activation_bits + 16)
    layers: list[QuantLayer] = []
    notes: list[str] = []
    for index, level in enumerate(model.levels):
        cells = [_quantize_cell(cell, fmt, x_frac, index, max_shift) for cell in level]
        # Both directions read one x: the coarser scale holds for both.
        shared = min(cell.x_frac for cell, _ in cells)
        for cell, (quantized, said) in zip(level, cells):
            if quantized.x_frac != shared:
                quantized, said = _quantize_cell(cell, fmt, shared, index, max_shift, fixed_x=True)
            layers.append(quantized)
            notes.extend(said)
        x_frac = fmt.h_frac
    return QuantModel(fmt, tuple(layers), model.name, model.head, tuple(notes), model.directions)


def _quantize_cell(
    layer: Layer, fmt: Format, x_frac: int, index: int, max_shift: int, fixed_x: bool = False
) -> tuple[QuantLayer, list[str]]:
    """Quantise one cell of level ``index``; also returns what was coarsened, in words.

    Only x of the first level may be coarsened, and not when ``fixed_x``.
    """
    notes: list[str] = []

    def coarsened(what: str, old: int, new: int, why: str) -> int:
        notes.append(f"{what} coarsened from {old} to {new} fraction bits{why}")
        return new

    where = f"layer {index}{' reverse' if layer.reverse else ''}"
    w_ih = f"{where}: w_ih"
    ih_frac = _largest_frac(layer.w_ih, fmt.weight_bits, fmt.weight_frac_max)
    hh_frac = _largest_frac(layer.w_hh, fmt.weight_bits, fmt.weight_frac_max)
    if hh_frac < fmt.weight_frac_min:
        raise UsageError(
            f"{where}: recurrent weights reach {np.abs(layer.w_hh).max():.4g}, {fmt} holds "
            "less than 128; rescale the model"
        )
    bias_room = _largest_frac(layer.b, fmt.bias_bits, 64) - x_frac
    too_large, scale = "x and w_ih together reach", "the input or w_ih"
    if bias_room < ih_frac:
        too_large, scale = f"the bias of {np.abs(layer.b).max():.4g} reaches", "the bias"
        so_that = f" so that its bias fits {fmt.bias_bits} bits"
        ih_frac = coarsened(w_ih, ih_frac, bias_room, so_that)
    shift = fmt.h_frac + hh_frac - x_frac - ih_frac
    finer = ": its products were finer than the recurrent ones"
    if shift < 0 and index == 0 and not fixed_x:
        x_frac = coarsened("x", x_frac, x_frac + shift, finer)
    elif shift < 0:
        ih_frac = coarsened(w_ih, ih_frac, ih_frac + shift, finer)
    elif shift > max_shift:
        coarse = max(hh_frac - (shift - max_shift), fmt.weight_frac_min)
        over = f": x_shift {shift} is over {max_shift}"
        hh_frac = coarsened(f"{where}: w_hh", hh_frac, coarse, over)
    shift = fmt.h_frac + hh_frac - x_frac - ih_frac
    if shift > max_shift:
        raise UsageError(
            f"{where}: {too_large} 2**{shift - max_shift} times more than "
            f"x_shift {max_shift} allows; scale {scale} down"
        )
    cell = QuantLayer(
        _to_int(layer.w_ih, ih_frac, fmt.weight_bits),
        _to_int(layer.w_hh, hh_frac, fmt.weight_bits),
        _to_int(layer.b, x_frac + ih_frac, fmt.bias_bits),
        x_frac,
        ih_frac,
        hh_frac,
        shift,
        layer.reverse,
    )
    return cell, notes


def _largest_frac(values: np.ndarray, bits: int, limit: int) -> int:
    """Most fraction bits (at most limit) with which all values fit a signed integer of bits.

    The peak may reach 2**(bits - 1) itself and saturate by one LSB: that costs less than a scale
    twice as coarse, and values drawn from (-1, 1) or (-2**-3, 2**-3) all but reach it.
    """
    peak = float(np.abs(values).max(initial=0.0))
    if peak == 0.0:
        return limit
    return min(bits - 1 - int(np.ceil(np.log2(peak))), limit)


def _to_int(values: np.ndarray, frac: int, bits: int) -> np.ndarray:
    """Scale by 2**frac, round half up, saturate to a signed integer of bits."""
    half = 1 << (bits - 1)
    scaled = np.floor(np.asarray(values, dtype=np.float64) * 2.0**frac + 0.5)
    return np.clip(scaled, -half, half - 1).astype(np.int64)
