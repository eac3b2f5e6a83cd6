"""Float models and tensors for tests."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Layer, Model, load

_PROCESSOR = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
INT8_SATURATES = "avx2" in _PROCESSOR and not re.search("avx(512)?_?vnni", _PROCESSOR)
"""Whether ONNX Runtime's sums of unsigned and signed int8 products saturate at 16 bits: on
processors with AVX2 and without VNNI."""
X, H = 3, 4
"""Sizes of ``weights``."""


def pytorch_like(
    seed: int,
    sizes: list[int],
    directions: tuple[int, ...] | None = None,
    cell: str = "lstm",
) -> Model:
    """Make a stack as torch.nn.LSTM or GRU initialises it: U(-1/sqrt(H), 1/sqrt(H)) everywhere.

    ``sizes`` are X, then H of each level.
    """
    rng = np.random.default_rng(seed)
    cells: list[Layer] = []
    x_size = sizes[0]
    for h_size, count in zip(sizes[1:], directions or [1] * len(sizes)):
        k = h_size**-0.5

        def draw(*shape: int, k: float = k) -> np.ndarray:
            return rng.uniform(-k, k, shape)

        for reverse in (False, True)[:count]:
            w_ih, w_hh = draw(4 * h_size, x_size), draw(4 * h_size, h_size)
            b_ih, b_hh = draw(4 * h_size), draw(4 * h_size)
            if cell == "gru":
                for of_n_h, of_n_x in ((w_ih, w_hh), (b_ih, b_hh)):
                    of_n_h[:h_size], of_n_x[2 * h_size : 3 * h_size] = 0, 0
            cells.append(Layer(w_ih, w_hh, b_ih + b_hh, reverse, cell))
        x_size = count * h_size
    return Model(tuple(cells), directions=directions)


def trained_like(
    seed: int, sizes: list[int], directions: tuple[int, ...] | None = None, spread: float = 4.0
) -> Model:
    """Make a stack as uneven as trained ones, which ``uneven_x`` of the same seed goes with.

    Rows are heavy-tailed, and their largest weights too: that of the largest is ``spread`` times
    the median one, 2 to 36 in published models. One row of each cell is dead. Weights of quiet
    features are larger, but not by as much as those are quiet. ``sizes`` are X, then H of each
    level.
    """
    rng = np.random.default_rng([seed, 2])
    drawn = pytorch_like(seed, sizes, directions)
    loud = np.maximum(_feature_scales(seed, sizes[0]), _QUIETEST) ** (-1 / 6)

    def uneven(shape: tuple[int, ...], dead: int, columns: np.ndarray | float = 1.0) -> np.ndarray:
        w = rng.laplace(size=shape) * columns * np.exp(rng.normal(0, 0.15, shape[1]))
        z = rng.normal(size=shape[0])
        z = (z - np.median(z)) / (z.max() - np.median(z))
        w *= (spread**z / np.abs(w).max(axis=1))[:, None]
        w[dead] = 0
        return 1.5 / shape[1] ** 0.5 * w / np.sqrt(np.mean(w**2))

    cells: list[Layer] = []
    for level, columns in zip(drawn.levels, (loud, *[1.0] * len(sizes))):
        for cell in level:
            dead = int(rng.integers(len(cell.b)))
            w_ih, w_hh = uneven(cell.w_ih.shape, dead, columns), uneven(cell.w_hh.shape, dead)
            cells.append(Layer(w_ih, w_hh, rng.normal(0, 0.4, len(cell.b)), cell.reverse))
    return Model(tuple(cells), directions=directions)


def uneven_x(seed: int, batch: int, time: int, x_size: int, draw: int = 0) -> np.ndarray:
    """Draw x (batch, time, X) for ``trained_like``: scales of 1 to 1000 and a dead feature.

    Draws of the same seed are alike, but disjoint: for calibration and evaluation.
    """
    x = np.random.default_rng([seed, 3, draw]).laplace(size=(batch, time, x_size))
    return x * _feature_scales(seed, x_size)


_QUIETEST = 1e-3
"""Scale of the quietest feature that is not dead; the loudest has 1."""


def _feature_scales(seed: int, x_size: int) -> np.ndarray:
    scales = np.geomspace(_QUIETEST, 1, x_size)
    scales[: x_size > 1] = 0
    return np.random.default_rng([seed, 4]).permutation(scales)


def torch_names(model: Model) -> dict[str, np.ndarray]:
    """Name the tensors of a model as torch.nn.LSTM does."""
    named = {}
    for index, level in enumerate(model.levels):
        for cell in level:
            name = f"l{index}_reverse" if cell.reverse else f"l{index}"
            named[f"weight_ih_{name}"] = cell.w_ih.astype(np.float32)
            named[f"weight_hh_{name}"] = cell.w_hh.astype(np.float32)
            named[f"bias_ih_{name}"] = cell.b.astype(np.float32)
            named[f"bias_hh_{name}"] = np.zeros_like(named[f"bias_ih_{name}"])
    return named


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], **types: str) -> Path:
    """Write tensors, as the types that are named or as their own."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, value in tensors.items():
        end = len(data) + value.nbytes
        dtype = types.get(name, f"{value.dtype.kind.upper()}{8 * value.itemsize}")
        header[name] = {"dtype": dtype, "shape": value.shape, "data_offsets": [len(data), end]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def weights(inputs: int = X, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw the tensors of one layer, named as torch does."""
    rng = np.random.default_rng(seed)
    shapes = {"weight_ih_l0": (4 * H, inputs), "weight_hh_l0": (4 * H, H)}
    shapes |= {"bias_ih_l0": (4 * H,), "bias_hh_l0": (4 * H,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def x_of(batch: int = 2, time: int = 7) -> np.ndarray:
    """Draw x (batch, time, X) float32."""
    return np.random.default_rng(9).normal(size=(batch, time, X)).astype(np.float32)


def float_h(model: Model, x: np.ndarray) -> np.ndarray:
    """Compute the last level's h, (batch, time, hidden), from the arrays of the model alone."""
    for level in model.levels:
        x = np.concatenate(
            [cell_h(c, x[:, ::-1])[:, ::-1] if c.reverse else cell_h(c, x) for c in level], axis=2
        )
    return x


def cell_h(cell: Layer, x: np.ndarray) -> np.ndarray:
    """Compute h of one cell that takes the steps of x (batch, time, X) in their order."""
    h = c = np.zeros((len(x), cell.hidden_size))
    steps = []
    for x_t in x.swapaxes(0, 1):
        i, f, g, o = np.split(x_t @ cell.w_ih.T + h @ cell.w_hh.T + cell.b, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        steps.append(h)
    return np.stack(steps, axis=1)


@contextmanager
def bounded() -> Iterator[None]:
    """Bound what a refusal may take: 1 GiB beside what is taken already."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(path: Path, text: str, prefix: str = "") -> None:
    """Check that a file is refused with one line that has the text in it."""
    with pytest.raises(UsageError) as error:
        load(path, prefix)
    assert text in str(error.value) and "\n" not in str(error.value)


def package_cli(out: str, *more: str) -> int:
    """Package m.npz of the working folder for `tiny`, as a user does."""
    data = () if "--calibration" in more else ("--assume-range", "-1,1")
    return cli.main(["package", "m.npz", "--config", "tiny", "-o", out, *data, *more])


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
