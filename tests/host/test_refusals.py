"""What the command line refuses: one printable sentence, status 2, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli
from lstm_sharp.board import overlay as boards
from lstm_sharp.engine import config
from lstm_sharp.engine.config import resized
from models import pytorch_like, torch_names

RUN = ["run", "m.npz", "--input", "x.npy", "--output", "y.npy", "--json", "r.json"]
STATE = [*RUN, "--state", "s.npz"]
PERF = ["perf", "--input-size", "8", "--hidden-size", "8", "--macs", "64"]
PACKAGE = ["package", "m.npz", "--config", "tiny", "-o", "q", "--assume-range", "-1,1"]
DIGITS = "9" * 5000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a model, inputs, a state, configs, a package with a file of a user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(boards.VIRTUAL, raising=False)
    rng, tiny = np.random.default_rng(0), config.load("tiny")
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6, 4])))
    np.save("x.npy", rng.uniform(-1, 1, (2, 5, 3)).astype(np.float32))
    np.savez("s.npz", **{n: rng.uniform(-1, 1, (2, 2, 6)).astype(np.float32) for n in "hc"})
    Path("broken.json").write_text("{")
    few = (("small", "max_hidden", 5), ("shallow", "weight_tiles", 2), ("low", "bias_blocks", 2))
    for name, knob, value in few:
        knobs = resized(tiny, name=name, **{knob: value}).knobs()
        Path(f"{name}.json").write_text(json.dumps(knobs))
    Path("named.json").write_text(json.dumps({**tiny.knobs(), "name": "a b"}))
    for name, lengths in {"short": [5, 0], "long": [6, 5], "three": [5, 5, 5]}.items():
        np.save(f"{name}.npy", np.array(lengths))
    Path("p").mkdir()
    Path("p/notes.txt").write_text("mine")
    Path("vectors").mkdir()
    Path("vectors/x.npy").write_text("mine")
    return tmp_path


def refused(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    try:
        status: object = cli.main(arguments)
    except SystemExit as ended:
        status = ended.code
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert said in shown.err and shown.err.count("\n") == 1 and len(shown.err) <= 301
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OPTIONS = {
    "run m.npz": [("", "--input, --output")],
    " ".join(RUN): [
        ("--backend gpu", "backend 'gpu' is unknown; choose one of float, golden, csim, rtl"),
        ("--backend board --config tiny", "there is no overlay of tiny at"),
        ("--config z3", "config 'z3' not found; there are tiny, pynq-z2,"),
        ("--config broken.json", "broken.json"),
        ("--format W4A17", "format 'W4A17' is unknown"),
        ("--schedule fast", "schedule 'fast' is unknown"),
        ("--config small.json", "layer 0 has 6 units, small holds 5"),
        ("--config shallow.json", "tiles of weights, shallow holds 2"),
        ("--config low.json", "3 row blocks of bias, low holds 2"),
        ("--lengths x.npy", "lengths have type float32"),
        ("--lengths short.npy", "sequence 1 has a length of 0; 1 to the 5 steps"),
        ("--lengths long.npy", "sequence 0 has a length of 6; 1 to the 5 steps"),
        ("--lengths three.npy", "shape (3,); one whole number for each of 2 sequences"),
        (
            "--output-of head",
            "holds weights, and no graph: export the model as ONNX; leave out --output-of head",
        ),
        ("--output x.npy/y.npy", "x.npy is no folder"),
        ("--output nowhere/y.npy", "nowhere is no folder; make it first"),
        ("--output x.npy", "x.npy would overwrite x.npy"),
        ("--json y.npy", "y.npy would overwrite y.npy"),
        ("--state-out m.npz", "m.npz would overwrite m.npz"),
        ("--output=", "'' is no name of a file"),
        ("--config named.json", "name = 'a b' must be letters"),
        ("--prefix decoder", "decoder"),
        ("--no-such 1", "run: unrecognized arguments: --no-such 1; see lstm-sharp run --help"),
    ],
    " ".join(PERF): [
        ("--steps nan", "invalid int value: 'nan'"),
        ("--steps 1e3", "invalid int value: '1e3'"),
        (f"--k {DIGITS}", "must be 4, 8, 16"),
        ("--k \u00b2", "must be 4, 8, 16"),
        (f"--chains {DIGITS}", "invalid int value"),
        ("--macs 256 --k-list 8,24", "K = 24 of the list must be 4, 8"),
    ],
    "fit m.npz": [
        ("--board z3", "board 'z3' is unknown; there are arty-z7-20, "),
        ("--steps 0", "steps 0 must be 1 to 65536"),
        ("--steps 10000000000000", "steps 10000000000000 must be 1 to 65536"),
        ("--json m.npz", "m.npz would overwrite m.npz"),
        ("--max-memory 0", "'0' is no size; give one such as 512M or 8G"),
        ("--max-memory 1K", "m.npz takes 3878 bytes, at most 1024 are read"),
        (f"--max-memory {'9' * 99}G", "is no size"),
    ],
    " ".join(PACKAGE[:-2]): [
        ("", "how far x reaches is not to be guessed: give calibration data (--calibration X.npy)"),
        ("--calibration none.npy", "none.npy cannot be read"),
        ("--calibration flat.npy", "calibration data is float32 (5, 3)"),
        ("--calibration nan.npy", "calibration data has 1 NaN"),
        ("--calibration x.npy --assume-range 0,1", "not allowed with argument"),
    ],
    " ".join(PACKAGE): [
        ("--config shallow.json", "tiles of weights, shallow holds 2"),
        ("--schedule fast", "schedule 'fast' is unknown"),
        ("--assume-range 1,1", "x from 1 to 1 is no range"),
        ("--assume-range 1,inf", "x from 1 to inf is no range"),
        ("--assume-range 1", "'1' is no range; give one such as -1,1"),
        ("-o x.npy", "x.npy is a file; name a folder"),
        ("-o x.npy/q", "cannot be written"),
        ("-o .", "which is not of a package; name a new folder"),
        ("-o p", "p holds notes.txt, which is not of a package"),
        ("--virtual --engine hls", "the virtual board has the sv engine; leave out --engine hls"),
    ],
    "render m.npz --config tiny": [
        ("-o .", "vectors has no vectors.json"),
        ("-o=", "no folder to write to"),
    ],
}


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [(command, *row) for command, rows in OPTIONS.items() for row in rows],
)
def test_options(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, options: str, said: str
) -> None:
    x = np.load("x.npy")
    np.save("flat.npy", x[0])
    x[0, 0, 0] = np.nan
    np.save("nan.npy", x)
    refused(folder, capsys, [*command.split(), *options.split()], said)


NAN = {n: np.full_like(v, np.nan) for n, v in torch_names(pytorch_like(0, [3, 4])).items()}
X = np.zeros((2, 5, 3))
H, C = np.zeros((2, 2, 6)), np.zeros((2, 2, 6))
FILES = {  # what takes the place of a file: an array, tensors, bytes, or nothing
    "x.npy": [
        (np.where(np.arange(3) == 1, np.nan, X), "10 NaN or infinite of 30 values"),
        (X + 1e30 * np.arange(30).reshape(X.shape), "scale the input"),
        (X[:, :, :2], "input is float64 (2, 5, 2); numbers (batch, time, 3) of at least one"),
        (X[0], "input is float64 (5, 3); numbers (batch, time, 3)"),
        (X[:0], "input is float64 (0, 5, 3)"),
        (X[:, :0], "input is float64 (2, 0, 3)"),
        (np.array([[["a"]]]), "has type <U1"),
        (np.array([{}], dtype=object), "x.npy is no .npy array"),
        (b"", "x.npy is no .npy array"),
        (None, "x.npy cannot be read (No such file"),
    ],
    "m.npz": [
        (b"hello", "m.npz"),
        ({"weight": np.zeros((2, 2))}, "no tensor named like weight_ih_l0"),
        (NAN, "NaN or infinite"),
    ],
    "s.npz": [
        ({"h": H + 1.5, "c": C}, "state h reaches 1.5, an engine holds 1 of this model; give"),
        ({"h": H, "c": C - 129}, "state c reaches 129, an engine holds 128 of this model; give"),
        (
            {"h": np.zeros((2, 2, 9)), "c": C},
            "state h is float64 (2, 2, 9); numbers (cells, batch, hidden) = (2, 2, 6)",
        ),
        ({"h": H}, "s.npz lacks c; it has h"),
        ({"h": H * np.nan, "c": C}, "state h has 24 NaN"),
    ],
}


@pytest.mark.parametrize(
    ("name", "held", "said"), [(name, *row) for name, rows in FILES.items() for row in rows]
)
def test_files(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, held: object, said: str
) -> None:
    Path(name).unlink()
    if isinstance(held, np.ndarray):
        np.save(name, held, allow_pickle=True)
    elif isinstance(held, dict):
        np.savez(name, **held)
    elif isinstance(held, bytes):
        Path(name).write_bytes(held)
    refused(folder, capsys, STATE, said)
