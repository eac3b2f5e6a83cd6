"""The SystemVerilog engine as a folder that stands alone: README, file list, simulation, core file.

What is written here lies around the ``rtl/`` of a render. Nothing of it needs this package, nor
Python: templates/standalone/ is the folder, and its test bench plays test vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_sharp import files, paths
from lstm_sharp.compiler import cycles, pack
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.knobs import MEANINGS
from lstm_sharp.engine.program import Program, Status
from lstm_sharp.engine.registers import ENGINE_MAP, ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs, verilate
from lstm_sharp.flow.render import context, filled
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics.golden import State
from lstm_sharp.package import vectors
from lstm_sharp.package.vectors import Vectors
from lstm_sharp.runtime.deploy import Stage
from lstm_sharp.vendor.vectors import of_stages
from lstm_sharp.vendor.vivado import ports

_FOLDER = "standalone"
_MARK = f"Generated from templates/{_FOLDER}/"
"""Stands in the first lines of each file that is written here."""
SEED = 1
"""Of the drawn model."""


class Case(NamedTuple):
    """A run, and what an engine whose streams never pause must give."""

    run: jobs.Run
    h: np.ndarray  # uint8, whole beats
    mask: np.ndarray  # the bits of them that belong to some h or state
    cycles: int


def drawn(cfg: Config) -> Model:
    """Draw a small LSTM, as PyTorch initialises one, whose sizes fill neither tiles nor beats."""
    x, h = min(cfg.max_input, cfg.columns + 1), min(cfg.max_hidden, cfg.block + 1)
    rng = np.random.default_rng(SEED)
    tensors = (rng.uniform(-1, 1, shape) * h**-0.5 for shape in ((4 * h, x), (4 * h, h), 4 * h))
    return Model((Layer(*tensors),), name=f"an LSTM of {x} inputs and {h} units, seed {SEED}")


def cases(stages: Sequence[Stage], made: Vectors) -> Iterator[Case]:
    """Yield the runs that load each stage's weights, and those of its calls."""
    for stage, own in of_stages(stages, made.x):
        none = jobs.nothing()
        yield Case(stage.load(), none, none, _cycles(stage, stage.plan.load_program()))
        for half in own.halves():
            ones = State(*(np.full_like(v, -1) for v in half.end))
            for launch, run in zip(*stage.runs(half.x, half.state, True)):
                yield Case(
                    run,
                    pack.pack_h(stage.turn(half.h), stage.plan, launch, half.end),
                    pack.pack_h(np.full_like(half.h, -1), stage.plan, launch, ones),
                    _cycles(stage, stage.plan.program_of(launch, half.state is not None, True)),
                )


def _cycles(stage: Stage, program: Program) -> int:
    return cycles.predict(stage.plan.cfg, program).cycles


def write(model: Model | None, cfg: Config, out: Path) -> None:
    """Write all that makes a render stand alone.

    Args:
        model: whose test vectors the simulation plays; None: of ``drawn``.
        cfg: the SystemVerilog engine's.
        out: the folder that ``render`` writes to.

    Raises:
        UsageError: the config does not hold the model, or something else lies where a file goes.
        ToolError: Jinja2 is not installed.
    """
    cfg.require("sv", "the RTL")
    check_target(out)
    model = model or drawn(cfg)
    _, stages, made, _ = vectors.prepare(model, cfg, assume=(-1, 1))
    lines = _vectors(list(cases(stages, made)), cfg.stream_bits // 8)
    texts = {
        Path("sim", "vectors", f"{name}.hex"): "\n".join([f"// {_MARK}", *rows, ""])
        for name, rows in lines.items()
    }
    values = {
        **context(cfg),
        "ports": ports(cfg),
        "map": ENGINE_MAP,
        "knobs": cfg.knobs(),
        "meanings": MEANINGS,
        "sources": [path.name for path in verilate.sources(out)],
        "counts": {f"{name.capitalize()}Count": len(rows) for name, rows in lines.items()},
        "vectors": [path.relative_to("sim").as_posix() for path in texts],
        "vlnv": ENGINE_VLNVS[cfg.engine],
        "model": model.name,
    }
    for target, source in _sources().items():
        if source.suffix == ".j2":
            texts[target] = filled(f"{_FOLDER}/{target}.j2", **values)
        else:
            texts[target] = source.read_text(encoding="utf-8")
    for target, text in texts.items():
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        files.write_text(out / target, text)


def _vectors(held: Sequence[Case], beat: int) -> dict[str, list[str]]:
    """Give the lines of each file of vectors, hexadecimal: a word or a beat each."""
    runs = [
        [case.run.program.size, *(part.size // beat for part in parts), case.cycles, Status.FINE]
        for case in held
        for parts in [(case.run.weights, case.run.x, case.h)]
    ]
    streams = {
        "runs": (np.array(runs, "<u4"), 4),
        "program": (np.concatenate([case.run.program for case in held]).astype("<u4"), 4),
        "weights": (np.concatenate([case.run.weights for case in held]), beat),
        "x": (np.concatenate([case.run.x for case in held]), beat),
        "h": (np.concatenate([case.h for case in held]), beat),
        "mask": (np.concatenate([case.mask for case in held]), beat),
    }
    return {
        name: [row.tobytes().hex() for row in values.view(np.uint8).reshape(-1, size)[:, ::-1]]
        for name, (values, size) in streams.items()
    }


def _sources() -> dict[Path, Path]:
    """Of each file that is written its template, or the file itself."""
    folder = paths.templates() / _FOLDER
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.with_suffix("") if path.suffix == ".j2" else path: folder / path for path in found}


def check_target(out: Path) -> None:
    """Refuse a folder in which something else lies where a file goes.

    Raises:
        UsageError: it does.
    """
    for target in _sources():
        if (out / target).exists() and _MARK not in files.read_text(out / target)[:400]:
            raise UsageError(
                f"{out / target} is of no render, and would be overwritten; remove it, or name "
                "another folder"
            )
