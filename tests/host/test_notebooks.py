"""The notebooks run on a virtual board, and pynq finds them, the overlays and the driver."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

import lstm_sharp.notebooks
from lstm_sharp import overlays, package, paths
from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from workshop import notebooks

pytest.importorskip("pynq")
pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

FOLDER = Path(lstm_sharp.notebooks.__path__[0])
SAYS = {
    "first_steps": "board and golden model agree in all 8192 values",
    "two_models": "trigger: weights 131 cycles",
    "speech": "2 segments of speech, the bits of the golden model",
    "streaming": "7 pieces, 4800 values, the same bits as in one go",
}


@pytest.mark.rtl
@pytest.mark.parametrize("name", SAYS)
def test_notebook_runs_and_is_stored_as_it_ran(
    with_engines: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "speech" and not all(map(find_spec, ("silero_vad", "moonshine_onnx"))):
        pytest.skip("needs packages of the extra published")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    ran = notebooks.run(FOLDER / f"{name}.ipynb", with_engines)
    stored = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    assert SAYS[name] in notebooks.text(ran)
    assert notebooks.text(stored) == notebooks.text(ran), "run make notebooks"
    for held in (ran, stored):
        shown = [output for cell in held.cells for output in cell.get("outputs", [])]
        assert sum("image/png" in output.get("data", {}) for output in shown) == 1


def test_all_notebooks_are_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SAYS)


@pytest.mark.parametrize(
    ("before", "config_name", "virtual"),
    [
        ({}, "pynq-z2", "pynq-z2"),
        ({"BOARD": "ZCU104"}, "zcu104", None),
        ({"BOARD": "Pynq-Z2", "LSTM_SHARP_VIRTUAL": "zcu104"}, "zcu104", "zcu104"),
        ({"BOARD": "Ultra96"}, "pynq-z2", "pynq-z2"),
    ],
)
def test_virtual_board_stands_in_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], config_name: str, virtual: str | None
) -> None:
    monkeypatch.setattr(os, "environ", dict(before))
    assert lstm_sharp.notebooks.here() == config_name
    assert os.environ.get("LSTM_SHARP_VIRTUAL") == virtual


def test_package_of_a_board_is_copied_or_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"BOARD": "Pynq-Z2"})
    made = lstm_sharp.notebooks.package_folder("smooth")
    assert package.read(made).cfg.name == "pynq-z2"
    about = (made / "package.json").stat().st_mtime_ns
    assert lstm_sharp.notebooks.package_folder("smooth") == made
    assert (made / "package.json").stat().st_mtime_ns == about
    monkeypatch.setattr(paths, "examples", lambda: tmp_path)
    with pytest.raises(UsageError, match="copy its folder packages beside this notebook"):
        lstm_sharp.notebooks.package_folder("vowels")


@pytest.mark.parametrize(("name", "path"), [("no-such-package", "a"), ("pynq", "pynq/a.onnx")])
def test_what_is_not_installed_is_named_with_the_remedy(name: str, path: str) -> None:
    assert lstm_sharp.notebooks.in_package("pynq", "pynq/__init__.py").is_file()
    with pytest.raises(UsageError, match=f"{path} is missing; run pip install --no-deps {name}"):
        lstm_sharp.notebooks.in_package(name, path)


@pytest.fixture
def installed() -> None:
    """Entry points are those of an installed package."""
    try:
        distribution("lstm-sharp")
    except PackageNotFoundError:
        pytest.skip("lstm-sharp is not installed")


@pytest.mark.usefixtures("installed")
def test_pynq_finds_an_overlay_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynq.bitstream import Bitstream
    from pynqutils.setup_utils import ExtensionsManager

    assert str(paths.overlays()) in ExtensionsManager("pynq.overlays").paths
    monkeypatch.setattr(overlays, "__path__", [str(tmp_path)])
    for cfg in map(config.load, config.shipped()):  # as overlays/BOARD/CONFIG.bit, or the latter
        bit = tmp_path / cfg.board / f"{cfg.name}.bit"  # alone where both are of one name
        bit.parent.mkdir(exist_ok=True)
        bit.touch()
        for name in (f"{cfg.board}/{bit.name}", *[bit.name] * (cfg.board == cfg.name)):
            assert Path(Bitstream(name, device=object()).bitfile_name) == bit


@pytest.mark.usefixtures("installed")
def test_pynq_binds_the_driver_to_any_overlay() -> None:
    code = (
        "import pynq; from pynq.overlay import _ip_drivers as bound\n"
        "pynq.Overlay._register_drivers(None)\n"
        f"print(*(bound[name].__name__ for name in {list(ENGINE_VLNVS.values())}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["EngineIP"] * len(ENGINE_VLNVS), done.stderr


@pytest.mark.usefixtures("installed")
def test_pynq_delivers_the_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynq._cli import get_notebooks

    command = ["get-notebooks", "--ignore-overlays", "--path", str(tmp_path), "lstm-sharp"]
    monkeypatch.setattr(sys, "argv", command)
    get_notebooks.main()
    delivered = {path.name for path in (tmp_path / "lstm-sharp").iterdir()}
    assert delivered == {f"{name}.ipynb" for name in SAYS}
