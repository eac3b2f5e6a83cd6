"""``lstm-sharp fit``: what it says is what the engine's own checks and models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import cli
from lstm_sharp.board import board
from lstm_sharp.engine import config, cycles, storage
from lstm_sharp.engine.config import resized
from lstm_sharp.engine.schedule import check_fit, check_steps, make_plan
from lstm_sharp.run.assess import check_board
from lstm_sharp.run.choose import float_shapes
from lstm_sharp.run.fit import Answer, fit, table
from models import pytorch_like, torch_names

SHAPES = [12, 64, 64]


def _fit(sizes: list[int], **options: Any) -> Answer:
    return fit(pytorch_like(0, sizes), **options)


def _holds(name: str, fmt: str, sizes: list[int], steps: int = 100, **knobs: int) -> None:
    """Raise unless a config with these knobs holds the model, and its board has the memory."""
    cfg = resized(config.load(name).with_format(fmt), **knobs)
    shapes = float_shapes(pytorch_like(0, sizes))
    check_fit(shapes, cfg)
    check_steps(shapes, cfg, steps)
    check_board(cfg)


def test_smallest_board_config_is_taken() -> None:
    answer = _fit(SHAPES, steps=50)
    assert [found.config for found in answer.configs] == config.shipped()
    assert (answer.best, answer.instead) == ("pynq-z2", ())
    assert answer.weights == answer.weight_bytes == 4 * 64 * (12 + 64 + 64 + 64)
    tiny, z2 = answer.configs[:2]
    assert not tiny.holds and tiny.speed is None
    assert tiny.reason == "layer 0 has 64 units, tiny holds 32; choose a larger config"
    cfg, made = config.load("pynq-z2"), board("pynq-z2")
    plan = make_plan(float_shapes(pytorch_like(0, SHAPES)), cfg)
    predicted = cycles.predict(cfg, plan.program(50, 1))
    assert z2.holds and z2.speed is not None and made is not None and z2.free is not None
    assert (z2.tiles, z2.weight_tiles) == (plan.tiles, 2560)
    assert z2.weight_bytes == plan.tiles * 208
    assert z2.used["bram36"] == sum(m.bram36 for m in storage.memories(cfg))
    assert z2.free["bram36"] == made.has["bram36"] - made.reserve["bram36"]
    assert z2.speed.cycles == predicted.cycles
    assert z2.speed.steps_per_second == pytest.approx(cfg.clock_mhz * 1e6 * 50 / predicted.cycles)
    assert z2.speed.load_cycles == cycles.predict(cfg, plan.load_program()).cycles
    assert z2.speed.utilization == pytest.approx(answer.weights * 50 / 208 / predicted.cycles)


def test_board_without_the_memory_holds_nothing() -> None:
    answer = _fit(SHAPES, fmt="W16A16", on="pynq-z2")
    assert answer.best is None and answer.weight_bytes == 2 * answer.weights
    taken = sum(m.bram36 for m in storage.memories(config.load("pynq-z2").with_format("W16A16")))
    assert f"takes {taken:g} BRAM36, the PYNQ-Z2 has 132" in (answer.configs[0].reason or "")
    eight, own = answer.instead
    assert (eight.how, eight.config, eight.format) == ("format", "pynq-z2", "W8A16")
    assert (own.how, own.config, own.format) == ("config", "pynq-z2", "W16A16")
    assert own.knobs == {"weight_tiles": 320}
    _holds("pynq-z2", "W16A16", SHAPES, **own.knobs)


def test_shipped_size_in_another_format_is_no_config_of_your_own() -> None:
    (eight,) = _fit([256, 256], fmt="W16A16", on="pynq-z2").instead
    assert (eight.how, eight.config, eight.format) == ("format", "pynq-z2", "W8A16")


def test_engine_without_a_board_counts_only_when_asked_for() -> None:
    answer = _fit([4, 8], fmt="W16A16")
    assert [found.holds for found in answer.configs if found.board == "none"] == [True]
    assert answer.best is None
    assert _fit([4, 8], fmt="W16A16", on="none").best == "tiny"
    instead = _fit([4, 8], fmt="W16A16", on="pynq-z2").instead
    assert [option.how for option in instead] == ["format", "config"]


def test_other_boards_and_own_configs_are_named() -> None:
    sizes = [300, 200]
    answer = _fit(sizes, on="pynq-z2")
    other, own = answer.instead
    assert (other.how, other.config, other.format) == ("board", "zcu104", "W8A16")
    _holds("zcu104", "W8A16", sizes)
    assert (own.how, own.format, own.knobs) == ("config", "W8A16", {"max_input": 300})
    _holds("pynq-z2", "W8A16", sizes, **own.knobs)


def test_own_config_of_a_long_stack() -> None:
    answer = _fit(SHAPES, on="pynq-z2", steps=2000)
    assert "at most 170 steps in one call" in (answer.configs[0].reason or "")
    own = next(option for option in answer.instead if option.how == "config")
    _holds("pynq-z2", own.format or "", SHAPES, 2000, **own.knobs)
    assert own.knobs["sequence_words"] == 2000 * 3
    layers = answer.instead[-1]
    assert layers.how == "layers" and "each layer fits" in layers.text


def test_only_some_layers_fit() -> None:
    answer = _fit([16, 250, 400, 200], on="pynq-z2")
    assert answer.instead[-1].text.endswith("only layer 0 of 3 fits W8A16 on pynq-z2 alone")


def test_uram_columns_are_shifted_where_that_helps() -> None:
    own = next(o for o in _fit([64, 64], fmt="W16A16").instead if o.config == "zcu104")
    assert "uram_columns" in own.knobs
    _holds("zcu104", "W16A16", [64, 64], **own.knobs)


def test_what_is_too_large_for_all_says_by_how_much() -> None:
    answer = _fit([1000, 900])
    (nothing,) = answer.instead
    assert nothing.how == "nothing"
    cfg = config.load("zcu104").with_format("W8A8")
    words = nothing.text.replace(",", "").split()
    bytes_needed, room, over = (int(word.rstrip(":")) for word in words if word[0].isdigit())
    rows, columns = -(-900 // cfg.block), -(-1000 // cfg.columns) + -(-900 // cfg.columns)
    assert bytes_needed == rows * columns * cfg.macs
    assert over == bytes_needed - room
    assert room >= cfg.weight_tiles * cfg.macs


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([5000, 4], "max_input = 5000 must be a whole number 1 to 4096"),
        ([4] + [8] * 25, "instructions, the window holds 127"),
    ],
)
def test_other_limits_are_named(sizes: list[int], said: str) -> None:
    assert said in _fit(sizes, on="pynq-z2").instead[-1].text


def test_table_is_short_and_labelled() -> None:
    lines = table(_fit(SHAPES)).splitlines()
    assert max(map(len, lines)) <= 130
    assert lines[0] == "model: 12 -> 64 -> 64, 52,224 weights in 52,224 bytes, 100 steps"
    assert "modelled, not measured" in "\n".join(lines)
    assert lines[-1] == "take pynq-z2 at W8A16, the smallest that holds it"
    assert "what would hold it:" in table(_fit(SHAPES, on="none"))
    assert "3 -> 4 -> 5 -> ... -> 8," in table(_fit([3, 4, 5, 6, 7, 7, 8]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, SHAPES)))
    return tmp_path


def test_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit", "m.npz", "--json", "f.json"]) == 0
    assert "take pynq-z2" in capsys.readouterr().out
    report = json.loads(Path("f.json").read_text())
    assert report["best"] == "pynq-z2"
    assert report == json.loads(json.dumps(fit(cli.load("m.npz")).as_dict()))
    assert cli.main(["fit", "m.npz", "--json", "-", "--board", "none"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["best"] is None
    assert said.err == "lstm-sharp: no shipped config for board none holds m\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--board", "z3"], "board 'z3' has no config; choose one of none, pynq-z2"),
        (["--format", "W4A4"], "format 'W4A4' is unknown"),
        (["--steps", "0"], "0 steps must be 1 to 65537"),
        (["--steps", "1000000000"], "1000000000 steps must be 1 to 65537"),
        (["--prefix", "decoder"], "decoder"),
        (["--json", "nowhere/f.json"], "nowhere is no folder"),
        (["--json", "m.npz"], "m.npz would overwrite m.npz"),
    ],
)
def test_bad_options(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert cli.main(["fit", "m.npz", *options]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
