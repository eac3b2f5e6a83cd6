"""The wheel alone, away from the checkout: the same bytes each time, and every command works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli
from lstm_sharp.errors import EXTRAS
from models import pytorch_like, torch_names

ROOT = Path(__file__).parents[2]
_COMMANDS = {
    "run": "run m.npz --input x.npy --output y.npy --backend csim --config tiny",
    "compare": "compare m.npz --input x.npy",
    "inspect": "inspect m.npz",
    "quantize": "quantize m.npz --calibration x.npy -o q.npz",
    "fit": "fit m.npz",
    "explore": "explore m.npz --board pynq-z2 --candidates 3 --cache c.sqlite",
    "render": "render --config tiny -o rendered",
    "perf": "perf --input-size 8 --hidden-size 8 --macs 64",
    "report": "report m.npz --config tiny --input x.npy -o r.html",
    "package": "package m.npz --config tiny --calibration x.npy -o package",
    "doctor": "doctor csim rtl",
    "new": "new mine",
    "completion": "completion bash",
}
_ELSEWHERE = {"paper", "worker"}
"""The one takes a checkout, the other a cluster: tests/host/test_serve.py."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built(tmp_path_factory.mktemp("wheel"))


def _built(folder: Path) -> Path:
    told = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    run = [sys.executable, "-m", "pip", "wheel", *told, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents in a folder of its own: what pip would lay into site-packages."""
    place = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(place)
    return place


def test_the_same_commit_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert _built(tmp_path).read_bytes() == wheel.read_bytes()


def test_it_holds_what_people_run_and_no_more(installed: Path) -> None:
    rooms = {path.name for path in installed.iterdir()}
    assert rooms == {"lstm_sharp", next(name for name in rooms if name.endswith(".dist-info"))}
    data = {path.name for path in (installed / "lstm_sharp" / "data").iterdir()}
    assert data == {"configs", "examples", "hls", "overlays", "results", "templates"}
    assert not [p for p in installed.rglob("*") if p.name in ("test_wheel.py", "workshop")]


def test_the_commands_of_the_help_are_all_tried() -> None:
    assert {one.name for one in cli.COMMANDS} == set(_COMMANDS) | _ELSEWHERE


_EACH = """
import json, sys
from lstm_sharp import cli
failed = [line for line in json.loads(sys.argv[1]) if cli.main(line.split())]
print(cli.__file__, file=sys.stderr)
sys.exit(f"failed: {failed}" if failed else 0)
"""


def test_each_command_works_from_any_folder(installed: Path, with_engines: Path) -> None:
    np.savez(with_engines / "m.npz", **torch_names(pytorch_like(0, (4, 6))))
    x = np.random.default_rng(0).normal(size=(2, 5, 4))
    np.save(with_engines / "x.npy", x.astype(np.float32))
    done = subprocess.run(
        [sys.executable, "-c", _EACH, json.dumps(list(_COMMANDS.values()))],
        cwd=with_engines,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert done.stderr.splitlines()[-1] == str(installed / "lstm_sharp" / "cli.py")


def test_each_module_that_may_lack_is_told_by_its_extra(installed: Path) -> None:
    (facts,) = installed.glob("*.dist-info/METADATA")
    about = message_from_bytes(facts.read_bytes())
    assert set(EXTRAS.values()) | {"all"} <= set(about.get_all("Provides-Extra"))
    needs = about.get_all("Requires-Dist")
    assert [line for line in needs if "extra" not in line] == ["numpy>=1.21"]
    for module, extra in EXTRAS.items():
        name = {"pkg_resources": "setuptools<"}.get(module, module.replace("_", "-"))
        some = [one for one in needs if re.match(name, one) and f"extra == '{extra}'" in one]
        assert some, f"{module} is not of the extra {extra}"
