"""What must not change while the tree does: programs, streams, packages, sources, answers, results.

``python tests/oracle.py`` compares with tests/oracle.json, and with ``--write`` makes it anew: a
commit that does so says what changed, and why.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lstm_sharp import cli
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import make_plan
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.render import render

ROOT = Path(__file__).parents[1]
FACTS = Path(__file__).with_suffix(".json")
_NAMED = re.compile(r"(Generated|Rendered) from ")
"""Lines that say of which template, config and hash a file is."""
_CONFIGS = ("tiny", "pynq-z2", "zcu104")
"""Shipped configs whose sources and packages are looked at, and some drawn programs are for."""
_VARIES = ("seconds", "max_abs_error", "creator", "files")
"""In JSON: what depends on the machine, on its NumPy, or on those."""


def facts(*kinds: str) -> dict[str, dict[str, str]]:
    """Work out those of some kinds: a hash for each name."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return {kind: dict(KINDS[kind]()) for kind in kinds}
        finally:
            os.chdir(before)


def _programs() -> Iterator[tuple[str, str]]:
    """Yield 300 drawn programs."""
    for seed in range(300):
        yield str(seed), _hash(*_program(seed))


def _results() -> Iterator[tuple[str, str]]:
    """Yield the figures that the documentation is made of."""
    for path in sorted((ROOT / "docs/results").glob("*.json")):
        yield path.name, _hash(path.read_bytes())


def _program(seed: int) -> Iterator[bytes]:
    """Compile drawn layers for a drawn engine and batch; yield all that is said of the program."""
    rng = np.random.default_rng([1511, seed])
    cfg = config.load(str(rng.choice(_CONFIGS)))
    rows = int(rng.choice([4, 8, 16]))
    several = rng.random() < 0.4
    drawn = {
        "rows": rows,
        "columns": 8,
        "lanes": 1 if several else int(rng.choice([1, rows // 4])),
        "chains": int(rng.integers(2, 9)),
        "max_input": 96,
        "max_hidden": 64,
        "weight_tiles": 4096,
        "bias_blocks": 512,
        "sequence_words": 512,
        "k_list": [(rows, 2 * rows, 4 * rows), (rows, 4 * rows)][seed % 2] if several else (),
    }
    if rng.random() < 0.7:
        cfg = config.resized(config.load("tiny"), **drawn)
    cfg = cfg.of(str(rng.choice(["sv", "hls"])))
    both = rng.random() < 0.3
    count = 1 if both else int(rng.integers(1, 4))
    x, h = int(rng.integers(1, 64)), int(rng.integers(1, 64))
    sizes = [x] + [h] * count
    shifts = rng.integers(0, 8, (count, 2)).tolist()
    cells = [LayerShape(a, b, *s) for a, b, s in zip(sizes, sizes[1:], shifts)]
    schedule = str(rng.choice(["best", "intergate", "unfolded", "elementwise"]))
    lengths = sorted(rng.integers(1, 20, int(rng.integers(1, 4))).tolist(), reverse=True)
    with_state, give = (bool(rng.random() < 0.3) for _ in range(2))
    repeats = int(rng.integers(1, 4))
    try:
        plan = make_plan(cells * (2 if both else 1), cfg, schedule, 1 + both)
        lengths = lengths[: max(1, plan.most_sequences)]
        made = [plan.load_program(), plan.program(lengths, repeats, with_state, give)]
        for program in made:
            yield program.encode(cfg).tobytes()
            yield repr((cycles.predict(cfg, program), hls_cycles(cfg, program))).encode()
        yield repr((plan.schedule, plan.tiles, cfg.digest, cfg.tail)).encode()
    except UsageError as error:
        yield str(error).encode()


def _model(path: str, seed: int, x: int, h: int, layers: int = 1, both: bool = False) -> str:
    """Write a drawn model with PyTorch's names."""
    rng, held = np.random.default_rng(seed), {}
    for layer in range(layers):
        width = x if layer == 0 else h * (1 + both)
        for side in ("", "_reverse")[: 1 + both]:
            for name, shape in (
                ("weight_ih", (4 * h, width)),
                ("weight_hh", (4 * h, h)),
                ("bias_ih", (4 * h,)),
                ("bias_hh", (4 * h,)),
            ):
                held[f"{name}_l{layer}{side}"] = rng.uniform(-0.4, 0.4, shape).astype(np.float32)
    np.savez(path, **held)
    return path


def _answers() -> Iterator[tuple[str, str]]:
    """Yield what the commands say, and write, of drawn models."""
    sizes = [(5, 7, 1), (24, 64, 2), (40, 100, 1), (96, 256, 3), (13, 600, 1)]
    for seed, (x, h, layers) in enumerate(sizes):
        model = _model("model.npz", seed, x, h, layers, both=seed == 2)
        for more in ([], ["--format", "W8A8"], ["--board", "PYNQ-Z2"]):
            yield f"fit {seed} {' '.join(more)}", _told(["fit", model, *more])
        if h > 300:
            continue
        data = np.random.default_rng(seed).uniform(-1, 1, (3, 6, x)).astype(np.float32)
        np.save("x.npy", data)
        np.save("lengths.npy", np.array([6, 2, 5]))
        run = ["run", model, "--input", "x.npy", "--output", "y.npy", "--state-out", "s.npz"]
        for more in ([], ["--lengths", "lengths.npy", "--format", "W16A16"]):
            told = _told([*run, *more])
            with np.load("s.npz") as state:
                after = [state[name].tobytes() for name in ("h", "c")]
            yield f"run {seed} {' '.join(more)}", _hash(told, np.load("y.npy").tobytes(), *after)
    for seed in range(40):
        rng = np.random.default_rng([1512, seed])
        x, h = (str(n) for n in rng.integers(1, 400, 2))
        macs, chains = str(64 << rng.integers(0, 6)), str(rng.integers(1, 5))
        more = [[], ["--k", "16"], ["--k-list", "16,64"], ["--tail", "40"]][seed % 4]
        schedule = str(rng.choice(["best", "intergate", "unfolded", "elementwise"]))
        perf = ["perf", "--input-size", x, "--hidden-size", h, "--macs", macs, "--chains", chains]
        yield f"perf {seed}", _told([*perf, "--schedule", schedule, "--steps", "20", *more])


def _told(arguments: list[str]) -> str:
    """Hash what a command gives: exit status, its JSON, and what it says where it fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([*arguments, "--json", "told.json"])
    told = Path("told.json")
    text = _steady(told.read_text()) if told.exists() else ""
    told.unlink(missing_ok=True)
    return _hash(str(status), text, err.getvalue() if status else "")


def _packages() -> Iterator[tuple[str, str]]:
    """Yield each file of packages for some configs and both engines."""
    model = _model("model.npz", 9, 12, 20, 2)
    for name in _CONFIGS:
        for engine in ("hls", "sv"):
            with contextlib.redirect_stderr(io.StringIO()):
                status = cli.main(
                    ["package", model, "--config", name, "--engine", engine, "-o", "p"]
                    + ["--assume-range", "-1,1"]
                )
            assert status == 0
            for path in sorted(Path("p").iterdir()):
                held = path.read_bytes()
                yield (
                    f"{name} {engine} {path.name}",
                    _hash(_steady(held.decode()) if path.suffix == ".json" else held),
                )


def _sources() -> Iterator[tuple[str, str]]:
    """Yield each file of the rendered trees of some configs."""
    for name in _CONFIGS:
        render(config.load(name), Path(name))
        for path in sorted(Path(name).rglob("*")):
            if path.is_file():
                lines = path.read_text().splitlines()
                text = "\n".join(line for line in lines if not _NAMED.search(line))
                yield f"{name} {path.relative_to(name)}", _hash(text)


def _steady(text: str) -> str:
    """Leave out of JSON what varies, digits that a processor decides, and the order of keys."""

    def kept(value: object) -> object:
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in _VARIES}
        if isinstance(value, float):
            return float(f"{value:.6g}")
        return [kept(v) for v in value] if isinstance(value, list) else value

    return json.dumps(kept(json.loads(text)), sort_keys=True)


def _hash(*parts: str | bytes) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(part.encode() if isinstance(part, str) else part)
    return made.hexdigest()[:8]


def known() -> dict[str, dict[str, str]]:
    """Read what is committed."""
    return json.loads(FACTS.read_text())


def differences(found: dict[str, dict[str, str]], known: dict[str, dict[str, str]]) -> list[str]:
    """Name what differs."""
    return [
        f"{kind}: {name}"
        for kind in sorted({*found, *known})
        for name in sorted({*found.get(kind, {}), *known.get(kind, {})})
        if found.get(kind, {}).get(name) != known.get(kind, {}).get(name)
    ]


KINDS = {
    "programs": _programs,
    "answers": _answers,
    "packages": _packages,
    "sources": _sources,
    "results": _results,
}

if __name__ == "__main__":
    made = facts(*KINDS)
    differ = differences(made, known() if FACTS.exists() else {})
    print(*differ, f"{len(differ)} differ", sep="\n")
    if "--write" in sys.argv[1:]:
        FACTS.write_text(json.dumps(made, indent=0) + "\n")
    sys.exit(bool(differ))
