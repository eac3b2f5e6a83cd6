"""Choosing scales from data, and rounding: from a float model to the integer model.

The model is run in float on the calibration data; of what each cell meets there, scales are chosen
that make the expected error of the gates' sums least, and weights are rounded. See
docs/quantisation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.formats import C_LIMIT, MAX_C_SHIFT, Format
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel, scale_of, to_int

DEFAULT_MAX_SHIFT = 8
"""Largest x_shift when no engine config says otherwise."""
METHODS = ("error", "min-max", "percentile")
"""How scales come from data: by least error, weights being rounded together; by the ends of the
data, each weight to the nearest; or by ends that 1 in 1,000 values of x exceeds."""
MOST_VECTORS = 4_096
"""Time steps of the calibration data, all sequences together, that the float model is run on."""
_PERCENTILE = 99.9
_BLOCK = 64  # columns that are rounded before the rest hears of their errors
_TRUSTS = (None, 0.3, 0.7)
"""What correlations seen in the data are worth in rounding together; None: each weight alone."""
_LEAST = 1e-30  # that x may reach
_COARSER = 16  # bits by which x may be coarser than the data allow
_WORTH_TELLING = 3.0  # dB
_C_MARGIN = 2.0  # of c beyond what the data reach: a sum over time may go further


@dataclass(frozen=True)
class Rules:
    """What the engine and the caller allow."""

    fmt: Format
    max_shift: int
    row_scales: int
    method: str
    symmetric: bool
    own: Format
    """Of the level; ``fmt`` is the stack's."""

    @property
    def full(self) -> float:
        """What a row's largest weight may come to; of few bits one step beyond is too far."""
        return float(self.own.most_weight + (self.own.weight_bits >= 8))


class Met(NamedTuple):
    """What a cell meets on the calibration data: v = [x, h before], and the slopes of its gates.

    An error of a sum counts by the square of the slope of sigma or tanh there: where a gate is
    saturated it does not matter.
    """

    cell: Layer
    power: np.ndarray  # mean of slope**2 v**2, (4H, X + H)
    slope: np.ndarray  # mean of slope**2, (4H,)
    mean: np.ndarray  # of v, each step counting by the mean of its slope**2: (X + H,)
    moments: np.ndarray  # of v about it, likewise, (X + H, X + H)
    peak_c: float
    x: np.ndarray  # of each step, (n, X)
    weight: np.ndarray  # of each step, (n,): mean of slope**2
    unit: np.ndarray  # of v as the cell takes it, which all else is not scaled to: (X + H,)

    def over(self, reach: np.ndarray) -> Met:
        """See x as a fraction of its reach, (X,), and the columns of w_ih times that."""
        size = len(reach)
        unit = np.concatenate([reach, self.unit[size:]])
        cell = replace(self.cell, w_ih=self.cell.w_ih * reach)
        return self._replace(cell=cell, unit=unit)


class Scales(NamedTuple):
    """Of each row of a cell; arrays (4H,), or (1,) where all rows share them."""

    factor: np.ndarray
    frac: np.ndarray
    x_shift: np.ndarray
    noise: float
    """Expected square of the error of a row's sum, mean over the rows, from weights and x."""
    free: float
    """The same if x_shift held any number."""


def quantize(
    model: Model,
    fmt: Format | str,
    calibration: np.ndarray,
    max_shift: int = DEFAULT_MAX_SHIFT,
    row_scales: int = True,
    method: str = "error",
    symmetric: bool = False,
) -> QuantModel:
    """Choose scales from the data and round.

    Args:
        model: the float model.
        fmt: widths of weights and activations, or their name, such as W8A16 or, of two levels,
            W8A16,W4A8.
        calibration: x as the model will see it, (batch, time, X) or (time, X) float, which values
            that are all the same do not tell.
        max_shift: the largest x_shift of the engine.
        row_scales: whether the engine has a scale a row of the weights, and one of c a layer.
        method: one of ``METHODS``. What ``error`` gives is not worse than ``min-max`` on sequences
            of the calibration data that it has not seen, or ``min-max`` is taken.
        symmetric: whether the engine packs products, and so takes no weight of -2**(w - 1).

    Raises:
        UsageError: NaN in the data, or nothing but one value; weights that no scale holds; formats
            of another number of levels.
    """
    if method not in METHODS:
        raise UsageError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    x = _checked(model, calibration)
    fmt = Format.parse(fmt) if isinstance(fmt, str) else fmt
    fmt.check_levels(len(model.levels), model.name)
    rules = Rules(fmt, max_shift, row_scales, method, symmetric, fmt.of_level(0))
    fit, rest = _split(x)
    met, _ = _met(model, fit, len(model.layers))
    bottom = met[: len(model.levels[0])]
    if rest is None:
        return _quantized(model, met, _reach(x, bottom, bottom, rules), rules)
    held_out, expected = _met(model, rest, len(bottom))
    reach, candidates = _reach(x, bottom, held_out, rules), []
    for trust in _TRUSTS if method == "error" else (None,):
        made = _quantized(model, met, reach, rules, trust)
        h, _ = golden.run(made, made.quantize_input(rest))
        errors = np.square(made.dequantize_h(h) - expected).sum(axis=(1, 2))
        candidates.append((float(np.log(errors + 1e-30).mean()), made))  # no sequence rules alone
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _checked(model: Model, calibration: np.ndarray) -> np.ndarray:
    """Return calibration data as (batch, time, X) float64."""
    with files.refusing(
        "calibration data are no numbers", "give numbers, (batch, time, X) or (time, X)"
    ):
        x = np.asarray(calibration, dtype=np.float64)
    if x.size == 0 or not np.isfinite(x).all():
        raise UsageError(
            f"calibration data of shape {x.shape} is empty or has NaN or infinity; "
            "give a few typical inputs"
        )
    if x.shape[-1] != model.input_size or x.ndim not in (2, 3):
        raise UsageError(
            f"calibration data has shape {x.shape}, {model.name} takes (batch, time, "
            f"{model.input_size}); give such"
        )
    if x.min() == x.max():
        raise UsageError(
            f"calibration data (without any: the first input) is {x.flat[0]:g} "
            "throughout, which does not tell the scale of x; give a few typical inputs"
        )
    peak = np.abs(x).max()
    if not _LEAST <= peak <= 1 / _LEAST:
        raise UsageError(
            f"calibration data reach {peak:.3g}, which is not from {_LEAST:g} to {1 / _LEAST:g}; "
            "scale the input"
        )
    return x.reshape(-1, *x.shape[-2:])


def _split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Take sequences to choose by and, of the rest, as many to check the choice on."""
    time = min(x.shape[1], MOST_VECTORS)
    x = x[: max(1, MOST_VECTORS // time), :time]
    if len(x) > 1:
        return x[0::2], x[1::2]
    if time > 1:
        return x[:, : (time + 1) // 2], x[:, (time + 1) // 2 :]
    return x, None


def _quantized(
    model: Model,
    met: Sequence[Met],
    reach: np.ndarray,
    rules: Rules,
    trust: float | None = None,
) -> QuantModel:
    """Quantise level after level.

    Args:
        model: the float model.
        met: what the cells meet.
        reach: how far the features of x reach, (X,).
        rules: what is allowed.
        trust: what correlations count where weights of a row are rounded with regard to each other.
    """
    notes: list[str] = []
    layers: list[QuantLayer] = []
    for index, level in enumerate(model.levels):
        rules = replace(rules, own=rules.fmt.of_level(index))
        for one in met[len(layers) : len(layers) + len(level)]:
            where = f"layer {index}{' reverse' if one.cell.reverse else ''}"
            layer, said = _quantize_cell(one if index else one.over(reach), rules, trust, where)
            layers.append(layer)
            notes += said
    scale = reach * 0.5 ** (rules.fmt.activation_bits - 1)
    return QuantModel(
        rules.fmt, tuple(layers), model.name, model.head, tuple(notes), model.directions, scale
    )


def _met(model: Model, x: np.ndarray, cells: int) -> tuple[list[Met], np.ndarray]:
    """Run the float model, gather what so many of its cells meet, and give the last level's h."""
    found: list[Met] = []

    def watch(cell: Layer, x: np.ndarray, h: np.ndarray, peak_c: float) -> None:
        if len(found) == cells:
            return
        before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
        v = np.concatenate([x, before], axis=2).reshape(-1, x.shape[2] + h.shape[2])
        slopes = np.square(_slopes(cell, v @ np.concatenate([cell.w_ih, cell.w_hh], axis=1).T))
        steps = slopes.mean(axis=1) + 1e-30
        mean = steps @ v / steps.sum()
        apart = (v - mean) * np.sqrt(steps / steps.sum())[:, None]
        power = slopes.T @ np.square(v) / len(v)
        own_x = v[:, : x.shape[2]]
        slope, moments, unit = slopes.mean(axis=0), apart.T @ apart, np.ones_like(mean)
        found.append(Met(cell, power, slope, mean, moments, peak_c, own_x, steps, unit))

    answer = reference.run(model, x, watch=watch)
    return found, answer.h


def _slopes(cell: Layer, products: np.ndarray) -> np.ndarray:
    """Give what sigma or tanh change by with each sum, (n, 4H), whose products with v those are.

    Of a GRU's n_h that is a part r of what it is of n_x.
    """
    half = np.full(len(cell.b), 0.5)  # sigma(z) = (1 + tanh(z / 2)) / 2
    n_h, r, of_tanh, _ = (slice(n * cell.hidden_size, (n + 1) * cell.hidden_size) for n in range(4))
    half[of_tanh] = 1.0
    z = products + cell.b
    if cell.kind == "gru":
        part = reference.sigmoid(z[:, r])
        z[:, of_tanh] += part * z[:, n_h]
    slopes = half**2 * (1 - np.tanh(half * z) ** 2)
    if cell.kind == "gru":
        slopes[:, n_h] = part * slopes[:, of_tanh]
    return slopes


def _reach(x: np.ndarray, met: Sequence[Met], held_out: Sequence[Met], rules: Rules) -> np.ndarray:
    """Choose how far the features of x reach, (X,), which both directions share.

    All have the same reach; or features and the columns of w_ih are evened out half and half, as
    SmoothQuant does (Xiao et al., arXiv 2211.10438). That, and how much further than the data x
    reaches, is what has the least expected error, that of clipping seen on data held out.
    """
    columns = np.sqrt(sum(np.square(one.cell.w_ih).mean(axis=0) for one in met))
    columns = np.where(columns, columns, columns.max() or 1.0)

    def at(share: float, level: float, some: np.ndarray) -> np.ndarray:
        flat = np.abs(some).reshape(-1, len(columns))
        peaks = flat.max(axis=0)
        if rules.method == "percentile":
            most = np.percentile(flat, _PERCENTILE, axis=0)
            peaks = np.where(most, most, peaks)
        # A feature of zeros may still come to life.
        peaks = np.where(peaks, peaks, peaks.max() or np.abs(x).max())
        even = (peaks / columns) ** share
        return even * (peaks / even).max() * level

    def noise(choice: tuple[float, float]) -> float:
        reach = at(*choice, met[0].x)
        found = sum(_scales(one.over(reach), rules).noise for one in met)
        if rules.method == "percentile":
            return found
        return found + sum(_clip_noise(one, reach) for one in held_out)

    share, level = min(product((0.0, 0.5), 2.0 ** np.arange(0, _COARSER, 0.5)), key=noise)
    return np.maximum(at(share, level, met[0].x), at(share, 1.0, x))


def _clip_noise(met: Met, reach: np.ndarray) -> float:
    """Expected square of the error of a row's sum, mean over the rows, from clipping x."""
    over = met.x - np.clip(met.x, -reach, reach)
    hit = over.any(axis=1)
    errors = np.square(over[hit] @ met.cell.w_ih.T).mean(axis=1)
    return float(met.weight[hit] @ errors / len(over))


def _scales(met: Met, rules: Rules) -> Scales:
    """Choose each row's scales: of all x_shift the one of least expected error."""
    need_hh, need_ih, need_bias = _needs(met.cell, rules)
    size = met.cell.input_size
    power_x = met.power[:, :size] @ (1 / met.unit[:size]) ** 2
    power_h = met.power[:, size:].sum(axis=1)
    shift = np.arange(rules.max_shift + 1)[:, None]
    apart = 2.0**shift  # LSB of w_ih over that of w_hh
    factor, frac = _grid(np.maximum(need_hh, np.maximum(need_ih, need_bias) / apart), rules)
    noise = scale_of(factor, frac) ** 2 * (power_h + apart**2 * power_x) / 12
    noise = np.where(frac < rules.fmt.weight_frac_min, np.inf, noise)
    if not rules.row_scales:
        noise = noise.mean(axis=1, keepdims=True)
    least, row = noise.argmin(axis=0), np.arange(noise.shape[1])
    of_x = np.square(met.cell.w_ih).sum(axis=1) * 4.0**-rules.own.h_frac / 12
    of_x = float((met.slope * of_x).mean())
    free = sum(
        scale_of(*_grid(need, rules)) ** 2 * power / 12
        for need, power in ((need_hh, power_h), (need_ih, power_x))
    )
    return Scales(
        factor[least, row],
        frac[least, row],
        least,
        float(noise[least, row].mean() + of_x),
        float(np.mean(free) + of_x),
    )


def _needs(cell: Layer, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the finest steps of w_hh, and of w_ih twice, that hold a row's weights and its bias."""
    need_hh = np.abs(cell.w_hh).max(axis=1) / rules.full
    of_bias = np.abs(cell.b) * 2.0 ** (rules.fmt.h_frac - rules.fmt.bias_bits + 1)
    needs = need_hh, np.abs(cell.w_ih).max(axis=1) / rules.full, of_bias
    if rules.row_scales:
        return needs
    return tuple(need.max(keepdims=True) for need in needs)


def _refuse(cell: Layer, rules: Rules, where: str) -> None:
    """Say which number no scale holds, if one does not.

    Raises:
        UsageError: weights, or a bias, that no scale holds.
    """
    most = (1.75 if rules.row_scales else 1.0) * 2.0**-rules.fmt.weight_frac_min
    need_hh, need_ih, need_bias = (need.max() for need in _needs(cell, rules))
    if need_hh > most:
        raise UsageError(
            f"{where}: recurrent weights reach {np.abs(cell.w_hh).max():.4g}, {rules.fmt} holds "
            f"less than {most * rules.full:g}; rescale the model"
        )
    over = _exponent(max(need_ih, need_bias) / most * 2.0**-rules.max_shift)
    if over > 0:
        bias = need_bias > need_ih
        what, remedy = "x and w_ih together reach", "scale w_ih down"
        if bias:
            what, remedy = f"the bias of {np.abs(cell.b).max():.4g} reaches", "scale the bias down"
        elif where == "layer 0":
            remedy = "scale the input or w_ih down, or leave wild values out (method percentile)"
        raise UsageError(
            f"{where}: {what} 2**{over} times more than x_shift {rules.max_shift} allows; {remedy}"
        )


def _quantize_cell(
    met: Met, rules: Rules, trust: float | None, where: str
) -> tuple[QuantLayer, list[str]]:
    """Quantise one cell; also returns what it costs that it does not fit the engine, in words."""
    cell, fmt = met.cell, rules.fmt
    _refuse(cell, rules, where)
    scales = _scales(met, rules)
    notes = []
    lost = _decibels(scales.noise, scales.free)
    if lost > _WORTH_TELLING:
        notes.append(
            f"{where}: weights coarsened, for x_shift holds 0 to {rules.max_shift} and a bias "
            f"{fmt.bias_bits} bits: {lost:.1f} dB of the expected error"
        )
    rows = cell.b.shape
    factor, frac, shift = (np.broadcast_to(v, rows) for v in scales[:3])
    steps = np.repeat(
        np.stack([scale_of(factor, frac - shift), scale_of(factor, frac)], axis=1),
        [cell.input_size, cell.hidden_size],
        axis=1,
    )
    exact = np.concatenate([cell.w_ih, cell.w_hh], axis=1)
    if trust is not None:
        moments = met.moments / (met.unit * met.unit[:, None])
        own = np.diag(moments)
        moments = trust * moments + np.diag((1 - trust) * own + 1e-4 * own.mean() + 1e-30)
        w = _round_together(exact, steps, moments, rules)
        b = cell.b + (exact - w * steps) @ (met.mean / met.unit)
    else:
        w, b = _held(np.floor(exact / steps + 0.5), rules), cell.b
    c_shift = 0
    if rules.row_scales:
        c_shift = min(max(0, _exponent(_C_MARGIN * met.peak_c / C_LIMIT)), MAX_C_SHIFT)
    if met.peak_c >= C_LIMIT << c_shift:
        notes.append(
            f"{where}: c reaches {met.peak_c:.4g} on the calibration data and saturates at "
            f"+-{C_LIMIT << c_shift}: h may be wrong from there on; run shorter sequences"
        )
    w_ih, w_hh = np.split(w.astype(np.int64), [cell.input_size], axis=1)
    layer = QuantLayer(
        w_ih,
        w_hh,
        to_int(b / scale_of(factor, frac - shift), fmt.h_frac, fmt.bias_bits),
        frac,
        shift,
        cell.reverse,
        factor,
        c_shift,
        cell.kind,
        fmt.activation_bits - rules.own.activation_bits,
    )
    return layer, notes


def _held(weights: np.ndarray, rules: Rules) -> np.ndarray:
    """Hold whole weights, float64, to their range."""
    most = rules.own.most_weight
    return np.clip(weights, -most - (not rules.symmetric), most)


def _round_together(
    w: np.ndarray, steps: np.ndarray, moments: np.ndarray, rules: Rules
) -> np.ndarray:
    """Round weights column after column, those that follow making up for the error so far.

    This is GPTQ (Frantar et al., arXiv 2210.17323), on the moments of x and h together.

    Args:
        w: (4H, n) float.
        steps: what an LSB of each is worth, (4H, n).
        moments: of what they are multiplied with, (n, n).
        rules: what range the integers have.

    Returns:
        The integers, (4H, n) float64.
    """
    order = np.argsort(-np.diag(moments))
    follow = np.linalg.cholesky(np.linalg.inv(moments[np.ix_(order, order)]))
    # A column after the other, each in one piece: strided ones take three times as long.
    left, steps = (np.ascontiguousarray(each.T[order]) for each in (w, steps))
    found, errors = np.empty_like(left), np.empty_like(left)
    for begin in range(0, len(order), _BLOCK):
        end = min(begin + _BLOCK, len(order))
        for j in range(begin, end):
            found[j] = _held(np.floor(left[j] / steps[j] + 0.5), rules)
            errors[j] = (left[j] - found[j] * steps[j]) / follow[j, j]
            left[j + 1 : end] -= follow[j + 1 : end, j, None] * errors[j]
        left[end:] -= follow[end:, begin:end] @ errors[begin:end]
    return found[np.argsort(order)].T


def _grid(least: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Give the finest scales (4 + factor) / 4 * 2**-frac that are no finer than ``least``."""
    least = np.maximum(least, 2.0**-rules.fmt.weight_frac_max)
    frac = -np.ceil(np.log2(least)).astype(np.int64)
    if not rules.row_scales:
        return np.zeros_like(frac), frac
    # Eighths of 2**-frac: 5, 6, 7 or 8, for least is more than half of it.
    eighths = np.ceil(least * 2.0 ** (frac + 3) - 1e-9).astype(np.int64)
    whole = eighths == 8
    return np.where(whole, 0, eighths - 4), np.where(whole, frac, frac + 1)


def _exponent(value: float) -> int:
    """Least n with value <= 2**n; of zero as of the smallest number."""
    return int(np.ceil(np.log2(max(float(value), 1e-300))))


def _decibels(more: float, less: float) -> float:
    return float(10 * np.log10(max(more, 1e-300) / max(less, 1e-300)))
