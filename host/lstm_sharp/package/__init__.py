"""Packages: a quantised model, its engine config and test vectors, in a folder for the board.

docs/package.md is the format's page. Reading needs NumPy alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import __version__, arrays, files, paths
from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import C_BITS, C_FRAC, MAX_C_SHIFT, Format
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from lstm_sharp.package import folder as folders
from lstm_sharp.package import vectors
from lstm_sharp.package.vectors import Vectors
from lstm_sharp.runtime.deploy import Stage, deploy, own_cycles

_OF_ROWS = ("b", "frac", "x_shift", "factor")
_SHOWN = ("input_size", "hidden_size", "reverse", "c_shift")
_WIDTHS = ("weight_bits", "activation_bits", "bias_bits", "h_frac")

_Layout = dict[str, tuple[tuple[int, ...], int]]
"""Shape and bits of each array of an .npz file; 0 bits: positive float64."""


@dataclass(frozen=True)
class Package:
    """What a package holds, checked."""

    model: QuantModel
    cfg: Config
    schedule: str
    vectors: Vectors
    about: Mapping[str, Any]  # package.json as it is


def write(
    model: Model,
    cfg: Config,
    out: str | Path,
    schedule: str = "best",
    calibration: np.ndarray | None = None,
    overlay: str | Path | None = None,
    more: Mapping[str, bytes] | None = None,
    assume: tuple[float, float] | None = None,
) -> Package:
    """Write a package, whole or not at all; a package that is there is replaced.

    Args:
        model: the float model.
        cfg: the engine, hls or sv: what the package is compiled for.
        out: the folder; what lies above it is made.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (batch, time, X) float.
        overlay: the engine's ``.bit``, its ``.hwh`` beside it; copied under the config's name.
            Whether it is of that config, the driver finds out on the board.
        more: files that go along, by name.
        assume: instead of calibration, the ends between which x lies; see package/vectors.py.

    Returns:
        What ``read`` gives for it.

    Raises:
        UsageError: the config does not hold the model, calibration data that cannot be used, an
            overlay that cannot be read or has the other engine, or a folder that is not empty and
            no package.
    """
    files.check_name(out)
    target = Path(os.path.realpath(out))
    folders.check_target(target)
    joined = folders.read_overlay(overlay, cfg) if overlay else {}
    quantized, stages, made, data = vectors.prepare(model, cfg, schedule, calibration, assume)
    weights = {
        f"{name}_l{index}": getattr(layer, name)
        for index, layer in enumerate(quantized.layers)
        for name in ("w_ih", "w_hh", *_OF_ROWS)
    }
    weights["x_scale"] = quantized.x_scale
    sizes = [(q.input_size, q.hidden_size) for q in quantized.layers]
    contents = {
        folders.MODEL: _npz(weights, _model_layout(cfg.fmt, sizes)),
        folders.VECTORS: _npz(vars(made), _vector_layout(quantized, *made.x.shape[:2])),
        folders.SCRIPT: folders.SCRIPT_TEXT,
        **joined,
        **(more or {}),
    }
    source: dict[str, object] = {"source": "data", "shape": list(data.shape)}
    if assume:
        source = {"source": "assumed range", "range": list(assume), "seed": vectors.SEED}
    error = vectors.largest_error(model, quantized, data)
    about = {
        "creator": f"lstm-sharp {__version__}",
        **_describe(quantized, cfg, stages, made),
        "calibration": {**source, "max_abs_error": error},
    }
    with folders.replacing(target) as beside:
        folders.write(beside, about, contents)
        return read(beside)


def read(folder: str | Path) -> Package:
    """Read and check a package.

    Raises:
        UsageError: something is missing, damaged, of another version or for another engine.
    """
    folder = Path(folder)
    about, contents = folders.read(folder, (folders.MODEL, folders.VECTORS))
    with files.refusing(f"{folder} is damaged", "make the package again"):
        engine, schedule, known = about["engine"], about["schedule"], (*SCHEDULES, "best")
        _require(engine in ENGINE_VLNVS, f"engine is one of {', '.join(ENGINE_VLNVS)}")
        _require(schedule in known, f"schedule is one of {', '.join(known)}")
        knobs = config.from_knobs(about["config"], f"{folder / folders.ABOUT}: config")
        cfg = knobs.of(engine)
        if cfg.digest != about["identity"]:
            raise UsageError(
                f"{folder}: its config has the identity {cfg.digest}, the package says "
                f"{about['identity']}; make the package again with this version"
            )
        model = _read_model(about, cfg.fmt, contents[folders.MODEL], folder / folders.MODEL)
        count, steps = (_whole(about["vectors"][name], name, 1) for name in ("sequences", "steps"))
        _require(count % 2 == 0, "sequences is even")
        layout = _vector_layout(model, count, steps)
        made = Vectors(**_arrays(contents[folders.VECTORS], layout, folder / folders.VECTORS))
        deploy(model, cfg, schedule, steps)
    return Package(model, cfg, schedule, made, about)


def for_overlay(cfg: Config, overlay: str | Path | None = None) -> tuple[Config, str | Path | None]:
    """Take the config for the engine that an overlay has; hls where there is none.

    Args:
        cfg: the engine's config, for either.
        overlay: a ``.bit``; by default that of the config in overlays/, if it has been built.

    Returns:
        The config, and the overlay.

    Raises:
        UsageError: the overlay's ``.hwh`` cannot be read, or names no engine.
    """
    built = paths.overlays() / cfg.board / f"{cfg.name}.bit"
    if overlay is None and built.is_file() and built.with_suffix(".hwh").is_file():
        overlay = built
    return cfg.of(folders.overlay_engine(overlay) if overlay else "hls"), overlay


def _describe(
    model: QuantModel, cfg: Config, stages: Sequence[Stage], made: Vectors
) -> dict[str, object]:
    """All that is known of model, engine and vectors beside their arrays."""
    fmt, steps = model.fmt, made.x.shape[1]
    plans = [stage.plan for stage in stages]
    chosen = {plan.schedule for plan in plans}
    lengths = (steps,) * made.half
    from_zeros, load = own_cycles(plans, Call(lengths, with_state=False, give_state=True))
    with_state, _ = own_cycles(plans, Call(lengths, with_state=True, give_state=True))
    return {
        "model": model.name,
        "engine": cfg.engine,
        "identity": cfg.digest,
        "config": cfg.knobs(),
        "schedule": chosen.pop() if len(chosen) == 1 else "best",
        "numbers": {
            **{name: getattr(fmt, name) for name in _WIDTHS},
            "c_bits": C_BITS,
            "c_frac": C_FRAC,
        },
        "directions": [len(level) for level in model.levels],
        "layers": [{name: getattr(q, name) for name in _SHOWN} for q in model.layers],
        "notes": list(model.notes),
        "vectors": {"sequences": 2 * made.half, "steps": steps},
        "predicted_cycles": {"load": load, "from_zeros": from_zeros, "with_state": with_state},
    }


def _model_layout(fmt: Format, sizes: Sequence[tuple[int, int]]) -> _Layout:
    layout: _Layout = {}
    for index, (x, h) in enumerate(sizes):
        layout[f"w_ih_l{index}"] = (4 * h, x), fmt.weight_bits
        layout[f"w_hh_l{index}"] = (4 * h, h), fmt.weight_bits
        for name in _OF_ROWS:
            layout[f"{name}_l{index}"] = (4 * h,), fmt.bias_bits if name == "b" else 8
    return {**layout, "x_scale": ((sizes[0][0] if sizes else 0,), 0)}


def _vector_layout(model: QuantModel, count: int, steps: int) -> _Layout:
    bits, widest = model.fmt.activation_bits, max(q.hidden_size for q in model.layers)
    state = len(model.layers), count, widest
    return {
        "x": ((count, steps, model.input_size), bits),
        "h_start": (state, bits),
        "c_start": (state, C_BITS),
        "h": ((count, steps, model.hidden_size), bits),
        "h_end": (state, bits),
        "c_end": (state, C_BITS),
    }


def _integer(bits: int) -> np.dtype:
    """Return the smallest signed type that holds so many bits, little endian; float64 for 0."""
    if not bits:
        return np.dtype("<f8")
    return np.dtype(f"<i{next(size for size in (1, 2, 4, 8) if 8 * size >= bits)}")


def _npz(arrays: Mapping[str, np.ndarray], layout: _Layout) -> bytes:
    """Write an .npz archive; NumPy dates its entries 1980, so equal arrays give equal bytes."""
    file = io.BytesIO()
    typed: dict[str, Any] = {
        name: np.ascontiguousarray(arrays[name], _integer(bits))
        for name, (_, bits) in layout.items()
    }
    np.savez(file, **typed)
    return file.getvalue()


def _arrays(data: bytes, layout: _Layout, what: Path) -> dict[str, np.ndarray]:
    """Read arrays of exactly these shapes and types, all integers within their bits, as int64."""
    read = {}
    with arrays.open_npz(data, str(what)) as held:
        for name, (shape, bits) in layout.items():
            value, kind = held[name](), _integer(bits)
            _require(value.shape == shape and value.dtype == kind, f"{name} is {kind} {shape}")
            if not bits:
                _require(np.isfinite(value).all() and (value > 0).all(), f"{name} is positive")
                read[name] = value
                continue
            wide, half = value.astype(np.int64), 1 << (bits - 1)
            _require(((-half <= wide) & (wide < half)).all(), f"{name} is within {bits} bits")
            read[name] = wide
    return read


def _read_model(about: Mapping[str, Any], fmt: Format, data: bytes, what: Path) -> QuantModel:
    """Check and put together the cells."""
    facts = about["layers"]
    x, h = "input_size", "hidden_size"
    sizes = [(_whole(q[x], x, 1), _whole(q[h], h, 1)) for q in facts]
    held = _arrays(data, _model_layout(fmt, sizes), what)
    layers: list[QuantLayer] = []
    for index, q in enumerate(facts):
        parts: dict[str, Any] = {
            name: held[f"{name}_l{index}"] for name in ("w_ih", "w_hh", *_OF_ROWS)
        }
        layer = QuantLayer(
            **parts, reverse=q["reverse"], c_shift=_whole(q["c_shift"], "c_shift", 0)
        )
        low, high = fmt.weight_frac_min, fmt.weight_frac_max
        _require(type(layer.reverse) is bool, "reverse is true or false")
        for name, least, most in (
            ("frac", low, high),
            ("x_shift", 0, 15),
            ("factor", 0, 3),
            ("c_shift", 0, MAX_C_SHIFT),
        ):
            value = np.asarray(getattr(layer, name))
            _require(least <= value.min() and value.max() <= most, f"{name} is {least} to {most}")
        layers.append(layer)
    directions = tuple(_whole(n, "directions", 1) for n in about["directions"])
    notes = tuple(map(str, about["notes"]))
    name, scale = str(about["model"]), held["x_scale"]
    return QuantModel(fmt, tuple(layers), name, None, notes, directions, scale)


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(f"it must be that {what}")


def _whole(value: Any, name: str, least: int) -> int:
    _require(type(value) is int and least <= value < 1 << 16, f"{name} is a whole number")
    return int(value)
