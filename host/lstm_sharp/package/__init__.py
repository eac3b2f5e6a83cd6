"""Packages: a quantised model, its engine config and test vectors, in a folder for the board.

docs/package.md is the format's page. Reading needs NumPy alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import __version__, arrays, files
from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import boards, config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.formats import C_BITS, C_FRAC
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.package import folder as folders
from lstm_sharp.package import vectors
from lstm_sharp.package.vectors import Vectors
from lstm_sharp.runtime.deploy import Stage, deploy, own_cycles

_WIDTHS = ("weight_bits", "activation_bits", "bias_bits", "h_frac")


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
    head, told = stored.with_head(model)
    quantized = replace(quantized, head=head, notes=(*quantized.notes, *told))
    contents = {
        folders.MODEL: _npz(*stored.arrays_of(quantized)),
        folders.VECTORS: _npz(vars(made), _vector_layout(quantized, *made.x.shape[:2])),
        folders.SCRIPT: folders.SCRIPT_TEXT,
        **({folders.HEAD: stored.npz(stored.head_arrays(head))} if head else {}),
        **joined,
        **(more or {}),
    }
    source: dict[str, object] = {"source": "data", "shape": list(data.shape)}
    if model.quantized is not None:
        source = {"source": "model file", "seed": vectors.SEED}
    elif assume:
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
        stored.require(engine in ENGINE_VLNVS, f"engine is one of {', '.join(ENGINE_VLNVS)}")
        stored.require(schedule in known, f"schedule is one of {', '.join(known)}")
        knobs = config.from_knobs(about["config"], f"{folder / folders.ABOUT}: config")
        cfg = knobs.of(engine)
        if cfg.digest != about["identity"]:
            raise UsageError(
                f"{folder}: its config has the identity {cfg.digest}, the package says "
                f"{about['identity']}; make the package again with this version"
            )
        with arrays.open_npz(contents[folders.MODEL], str(folder / folders.MODEL)) as tensors:
            model = stored.read_model(about, cfg.fmt, tensors)
        if folders.HEAD in contents:
            with arrays.open_npz(contents[folders.HEAD], str(folder / folders.HEAD)) as tensors:
                model = replace(model, head=stored.read_head(model.name, tensors))
        told = about["vectors"]
        count, steps = (stored.whole(told[name], name, 1) for name in ("sequences", "steps"))
        stored.require(count % 2 == 0, "sequences is even")
        layout = _vector_layout(model, count, steps)
        with arrays.open_npz(contents[folders.VECTORS], str(folder / folders.VECTORS)) as tensors:
            made = Vectors(**stored.checked(tensors, layout))
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
    built = boards.folder(cfg.board) / f"{cfg.name}.bit"
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
        **stored.facts_of(model),
        "engine": cfg.engine,
        "identity": cfg.digest,
        "config": cfg.knobs(),
        "schedule": chosen.pop() if len(chosen) == 1 else "best",
        "numbers": {
            **{name: getattr(fmt, name) for name in _WIDTHS},
            "c_bits": C_BITS,
            "c_frac": C_FRAC,
        },
        "vectors": {"sequences": 2 * made.half, "steps": steps},
        "predicted_cycles": {"load": load, "from_zeros": from_zeros, "with_state": with_state},
    }


def _vector_layout(model: QuantModel, count: int, steps: int) -> stored.Layout:
    bits, state = model.fmt.activation_bits, model.state_shape(count)
    return {
        "x": ((count, steps, model.input_size), bits),
        "h_start": (state, bits),
        "c_start": (state, C_BITS),
        "h": ((count, steps, model.hidden_size), bits),
        "h_end": (state, bits),
        "c_end": (state, C_BITS),
    }


def _npz(named: Mapping[str, np.ndarray], layout: stored.Layout) -> bytes:
    return stored.npz(stored.typed(named, layout))
