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
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import C_BITS, C_FRAC, Format
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel
from lstm_sharp.package import folder as folders
from lstm_sharp.package import vectors
from lstm_sharp.package.vectors import Vectors
from lstm_sharp.runtime.deploy import Stage, deploy, own_cycles

_WEIGHTS = ("w_ih", "w_hh", "b")
_SCALES = ("x_frac", "w_ih_frac", "w_hh_frac", "x_shift")

_Layout = dict[str, tuple[tuple[int, ...], int]]
"""Shape and bits of each array of an .npz file."""


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
) -> Package:
    """Write a package, whole or not at all; a package that is there is replaced.

    Args:
        model: the float model.
        cfg: the engine, hls or sv: what the package is compiled for.
        out: the folder; what lies above it is made.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (batch, time, X) float; by default U(-1, 1), see package/vectors.py.
        overlay: the engine's ``.bit``, its ``.hwh`` beside it; copied under the config's name.
            Whether it is of that config, the driver finds out on the board.
        more: files that go along, by name.

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
    joined = folders.read_overlay(overlay, cfg.name) if overlay else {}
    has = folders.overlay_engine(overlay) if overlay else cfg.engine
    if has != cfg.engine:
        raise UsageError(
            f"{overlay} has the {has} engine, and the package is to be for {cfg.engine}; name an "
            f"overlay with that one, or make the package with --engine {has}"
        )
    quantized, stages, made, data = vectors.prepare(model, cfg, schedule, calibration)
    weights = {
        f"{name}_l{index}": getattr(layer, name)
        for index, layer in enumerate(quantized.layers)
        for name in _WEIGHTS
    }
    contents = {
        folders.MODEL: _npz(weights, _model_layout(cfg.fmt, _sizes(quantized))),
        folders.VECTORS: _npz(vars(made), _vector_layout(quantized, *made.x.shape[:2])),
        folders.SCRIPT: folders.SCRIPT_TEXT,
        **joined,
        **(more or {}),
    }
    about = {
        "creator": f"lstm-sharp {__version__}",
        **_describe(quantized, cfg, stages, made),
        "calibration": {
            **(
                {"source": "U(-1, 1)", "seed": vectors.SEED}
                if calibration is None
                else {"source": "data", "shape": list(data.shape)}
            ),
            "max_abs_error": vectors.largest_error(model, quantized, data),
        },
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
        engines = ", ".join(ENGINE_VLNVS)
        _require(about["engine"] in ENGINE_VLNVS, f"engine is one of {engines}")
        cfg = config.from_knobs(about["config"], f"{folder / folders.ABOUT}: config")
        cfg = cfg.of(about["engine"])
        if cfg.digest != about["identity"]:
            raise UsageError(
                f"{folder}: its config has the identity {cfg.digest}, the package says "
                f"{about['identity']}; make the package again with this version"
            )
        model = _read_model(about, cfg.fmt, contents[folders.MODEL], folder / folders.MODEL)
        count, steps = (_whole(about["vectors"], name, 1) for name in ("sequences", "steps"))
        _require(count % 2 == 0, "sequences is even")
        layout = _vector_layout(model, count, steps)
        made = Vectors(**_arrays(contents[folders.VECTORS], layout, folder / folders.VECTORS))
        known = (*SCHEDULES, "best")
        _require(about["schedule"] in known, f"schedule is one of {', '.join(known)}")
        deploy(model, cfg, about["schedule"], steps)
    return Package(model, cfg, about["schedule"], made, about)


def built_overlay(cfg: Config) -> Path | None:
    """Find the ``.bit`` of a config in overlays/, if it and its ``.hwh`` are there."""
    bit = paths.overlays() / cfg.board / f"{cfg.name}.bit"
    return bit if bit.is_file() and bit.with_suffix(".hwh").is_file() else None


def _describe(
    model: QuantModel, cfg: Config, stages: Sequence[Stage], made: Vectors
) -> dict[str, object]:
    """All that is known of model, engine and vectors beside their arrays."""
    fmt, steps = model.fmt, made.x.shape[1]
    chosen = {stage.plan.schedule for stage in stages}
    lengths = [steps] * made.half
    plans = [stage.plan for stage in stages]
    from_zeros, load = own_cycles(plans, lengths, state=False, give=True)
    with_state, _ = own_cycles(plans, lengths, state=True, give=True)
    return {
        "model": model.name,
        "engine": cfg.engine,
        "identity": cfg.digest,
        "config": cfg.knobs(),
        "schedule": chosen.pop() if len(chosen) == 1 else "best",
        "numbers": {
            "weight_bits": fmt.weight_bits,
            "activation_bits": fmt.activation_bits,
            "bias_bits": fmt.bias_bits,
            "h_frac": fmt.h_frac,
            "c_bits": C_BITS,
            "c_frac": C_FRAC,
        },
        "directions": [len(level) for level in model.levels],
        "layers": [
            {
                "input_size": q.input_size,
                "hidden_size": q.hidden_size,
                "reverse": q.reverse,
                **{name: getattr(q, name) for name in _SCALES},
            }
            for q in model.layers
        ],
        "notes": list(model.notes),
        "vectors": {"sequences": 2 * made.half, "steps": steps},
        "predicted_cycles": {
            "load": load,
            "from_zeros": from_zeros,
            "with_state": with_state,
        },
    }


def _sizes(model: QuantModel) -> list[tuple[int, int]]:
    return [(q.input_size, q.hidden_size) for q in model.layers]


def _model_layout(fmt: Format, sizes: Sequence[tuple[int, int]]) -> _Layout:
    layout: _Layout = {}
    for index, (x, h) in enumerate(sizes):
        layout[f"w_ih_l{index}"] = (4 * h, x), fmt.weight_bits
        layout[f"w_hh_l{index}"] = (4 * h, h), fmt.weight_bits
        layout[f"b_l{index}"] = (4 * h,), fmt.bias_bits
    return layout


def _vector_layout(model: QuantModel, count: int, steps: int) -> _Layout:
    fmt, state = model.fmt, (len(model.layers), count, max(h for _, h in _sizes(model)))
    return {
        "x": ((count, steps, model.input_size), fmt.activation_bits),
        "h_start": (state, fmt.activation_bits),
        "c_start": (state, C_BITS),
        "h": ((count, steps, model.hidden_size), fmt.activation_bits),
        "h_end": (state, fmt.activation_bits),
        "c_end": (state, C_BITS),
    }


def _integer(bits: int) -> np.dtype:
    """Return the smallest signed type that holds so many bits, little endian."""
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
    """Read arrays of exactly these shapes and types, all values within their bits, as int64."""
    read = {}
    with arrays.open_npz(data, str(what)) as held:
        for name, (shape, bits) in layout.items():
            value, kind = held[name], _integer(bits)
            _require(value.shape == shape and value.dtype == kind, f"{name} is {kind} {shape}")
            wide, half = value.astype(np.int64), 1 << (bits - 1)
            _require(((-half <= wide) & (wide < half)).all(), f"{name} is within {bits} bits")
            read[name] = wide
    return read


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ValueError(f"it must be that {what}")


def _read_model(about: Mapping[str, Any], fmt: Format, data: bytes, what: Path) -> QuantModel:
    """Check and put together the cells."""
    facts = about["layers"]
    sizes = [(_whole(q, "input_size", 1), _whole(q, "hidden_size", 1)) for q in facts]
    held = _arrays(data, _model_layout(fmt, sizes), what)
    layers: list[QuantLayer] = []
    for index, q in enumerate(facts):
        parts: dict[str, Any] = {name: _whole(q, name, -1000) for name in _SCALES}
        parts.update({name: held[f"{name}_l{index}"] for name in _WEIGHTS})
        _require(type(q["reverse"]) is bool, "reverse is true or false")
        layer = QuantLayer(**parts, reverse=q["reverse"])
        finer = fmt.h_frac + layer.w_hh_frac - layer.x_frac - layer.w_ih_frac
        low, high = fmt.weight_frac_min, fmt.weight_frac_max
        _require(low <= layer.w_hh_frac <= high, f"w_hh_frac is {low} to {high}")
        _require(layer.x_shift == finer >= 0, f"x_shift is {finer} and not negative")
        layers.append(layer)
    directions = tuple(_count(n, "directions", 1) for n in about["directions"])
    notes = tuple(map(str, about["notes"]))
    try:
        model = QuantModel(
            fmt, tuple(layers), str(about["model"]), notes=notes, directions=directions
        )
    except UsageError as error:
        raise ValueError(error) from None
    for index, level in enumerate(model.levels):
        x_frac = fmt.h_frac if index else model.x_frac
        _require({q.x_frac for q in level} == {x_frac}, f"x_frac of level {index} is {x_frac}")
    return model


def _whole(facts: Mapping[str, Any], name: str, least: int) -> int:
    return _count(facts[name], name, least)


def _count(value: object, name: str, least: int) -> int:
    _require(type(value) is int and least <= value < 1 << 16, f"{name} is a whole number")
    assert isinstance(value, int)
    return value
