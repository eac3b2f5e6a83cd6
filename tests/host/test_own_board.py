"""Which config a board's name stands for; boards in a user's own folder, in every command."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli, package
from lstm_sharp.board import overlay
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import OWN, boards, facts, folder, looking_in
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import fit
from lstm_sharp.virtual.overlay import read_virtual
from models import pytorch_like, torch_names
from own_board import NAME, PART, own_board

pytest.importorskip("jinja2")

OF_Z2 = ["arty-z7-20", "pynq-z1", "zybo-z7-20"]
CONFIG = ["--config", NAME]
COMMANDS = {
    "run": ["m.npz", *CONFIG, "--input", "x.npy", "--output", "y.npy"],
    "fit": ["m.npz", "--board", NAME, "--json", "f.json"],
    "quantize": ["m.npz", *CONFIG, "--assume-range", "-1,1", "-o", "q.npz"],
    "package": ["m.npz", *CONFIG, "--assume-range", "-1,1", "-o", "p", "--virtual"],
    "render": [*CONFIG, "-o", "r"],
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user's boards, beside a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(OWN, raising=False)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6])))
    np.save("x.npy", np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 5, 3))
    own_board(tmp_path / "own")
    return tmp_path / "own"


@pytest.mark.parametrize("name", OF_Z2)
def test_boards_of_one_part_share_a_config(name: str) -> None:
    z2, cfg = config.load("pynq-z2"), config.load(name)
    assert replace(cfg, name="pynq-z2", board="pynq-z2") == z2
    assert cfg.name == cfg.board == name and config.of_board(name) == [cfg]
    assert facts(name).part == facts("pynq-z2").part and facts(name).name != facts("pynq-z2").name
    assert overlay.config_of(cfg.of("hls").identity) == cfg.of("hls")
    answer = fit(pytorch_like(0, [3, 6]), name)
    (found,) = answer.configs
    assert found.config == answer.best == name and found.identity == z2.digest


def test_every_shipped_board_has_a_config() -> None:
    assert {config.load(name).board for name in boards()} == set(boards())
    assert set(config.names()) == {*config.shipped(), *boards()}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_it(
    own: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [command, *COMMANDS[command]]
    assert cli.main(told) == 2
    assert NAME in capsys.readouterr().err
    assert cli.main([*told, "--board-dir", "own"]) == 0
    assert OWN not in os.environ
    if command == "fit":
        (found,) = json.loads(Path("f.json").read_text())["configs"]
        assert (found["board"], found["free"]["bram36"]) == (NAME, 52)
    if command == "package":
        assert package.read("p").cfg.board == read_virtual(f"p/{NAME}.bit").board == NAME
        assert "0x1FFFFFFF" in Path(f"p/{NAME}.hwh").read_text()
    if command == "render":
        assert PART in Path("r/hls/run_hls.tcl").read_text()


def test_it_goes_before_a_shipped_one(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_board(own, "pynq-z2", bram36=40)
    with looking_in(str(own)):
        assert folder("pynq-z2") == own / "pynq-z2" and facts("pynq-z2").has["bram36"] == 40
        assert config.load("pynq-z2").macs == config.load("tiny").macs
    assert config.load("pynq-z2").macs == 256
    monkeypatch.setenv(OWN, str(own))
    assert NAME in boards() and facts("zcu104").name == "ZCU104"
    (own / "pynq-z2" / "board.json").write_text("{")
    assert cli.main(["fit", "m.npz"]) == 2
    assert "pynq-z2/board.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ps": "zynq"}, "ps is 'zynq', none of zynq7, zynqmp"),
        ({"yosys_family": "ice40"}, "yosys_family is 'ice40', none of xc7, xcup"),
        ({"hp_bits": "64"}, "hp_bits is '64', none of 32, 64, 128"),
        ({"addresses": {"engine": "0x43C00000"}}, "addresses are of other cells"),
        ({"ddr_bytes": "0x80000000"}, "must be 0x10000 apart, from ddr_bytes = 0x80000000 on"),
        ({"dsp": "many"}, "dsp is 'many', no count"),
        ({"dsp": -5}, "dsp is -5, no count"),
        ({"lut": 1.5}, "lut is 1.5, no count"),
        ({"reserve": {"lut": 10**6}}, "reserve of lut is more than there is"),
        ({"reserve": {"lut": -1}}, "reserve of lut is -1, no count"),
        ({"reserve": 5}, "no board"),
        ({"part": 7}, "part is 7, no text"),
        ({"board_part": ""}, "board_part is '', no text"),
        ({"ddr_bytes": 2**31}, "ddr_bytes is 2147483648, no text"),
        ({"pll_mhz": None}, "pll_mhz is None, not 1 to 10000"),
        ({"pll_mhz": 0}, "pll_mhz is 0, not 1 to 10000"),
        ({"pll_mhz": 1e9}, "pll_mhz is 1000000000.0, not 1 to 10000"),
    ],
)
def test_wrong_facts_are_refused(own: Path, change: dict[str, object], said: str) -> None:
    own_board(own, **change)
    with looking_in(str(own)), pytest.raises(UsageError, match=f"board.json is {said}|.*{said}"):
        facts(NAME)


def test_what_is_missing_is_said(own: Path) -> None:
    with pytest.raises(UsageError, match=f"board '{NAME}' is unknown; .*zcu104.*adding-a-board"):
        config.load(str(own / f"{NAME}.json"))
    for path in (".", "none", "own/z7-10"):
        with pytest.raises(UsageError, match=re.escape(f"'{path}' holds no BOARD/board.json")):
            looking_in(path).__enter__()
    assert OWN not in os.environ
    (own / f"{NAME}.json").unlink()
    with looking_in(str(own)):
        said = f"'{NAME}' has no config: write {NAME}.json .*; ([a-z0-9-]+) with (.*) works$"
        with pytest.raises(UsageError, match=said) as error:
            config.load(NAME)
        base, told = re.search(said, str(error.value)).groups()  # type: ignore[union-attr]
        knobs: dict[str, object] = {**config.load(base).knobs()}
        for name, value in (each.split(" = ") for each in told.split(", ")):
            knobs[name] = int(value) if value.isdecimal() else value
        (own / f"{NAME}.json").write_text(json.dumps(knobs))
        made = config.load(NAME)
        assert (base, made.name, made.board) == ("pynq-z2", NAME, NAME) and made.macs >= 60
