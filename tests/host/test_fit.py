"""``lstm-sharp fit``: what it says is what the engine's own checks and models say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import cli, load
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.launches import Call, plan_launches
from lstm_sharp.engine import config, storage
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import board_problems, resized
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import Answer, assess, fit, table
from lstm_sharp.numerics.formats import DEFAULT_FORMAT
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.choose import choose
from models import pytorch_like, torch_names

SHAPES = [12, 64, 64]


def _fit(sizes: list[int], directions: tuple[int, ...] | None = None, **options: Any) -> Answer:
    return fit(pytorch_like(0, sizes, directions), **options)


def _stages(name: str, fmt: str, sizes: list[int], steps: int = 100, **knobs: int) -> int:
    """Plans of a model on a config with these knobs; none if its board lacks the memory."""
    cfg = resized(config.load(name).with_format(fmt), **knobs)
    assert not list(board_problems(cfg))
    return len(deploy.plans(pytorch_like(0, sizes), cfg, "best", steps))


def test_smallest_board_config_is_taken() -> None:
    answer = _fit(SHAPES, steps=50)
    assert [found.config for found in answer.configs] == config.shipped()
    assert (answer.best, answer.instead) == ("pynq-z2", ())
    assert answer.weights == answer.weight_bytes == 4 * 64 * (12 + 64 + 64 + 64)
    tiny, z2 = answer.configs[:2]
    assert tiny.runs == "no" and tiny.alone is tiny.beside is None
    assert tiny.reason == "layer 0 has 64 units, tiny holds 32; choose a larger config"
    cfg, made = config.load("pynq-z2"), board("pynq-z2")
    assert z2.alone and z2.beside and made is not None and z2.free is not None
    (plan,) = deploy.plans(pytorch_like(0, SHAPES), cfg, "best", 50, 1)
    predicted = cycles.predict(cfg, plan.program([50]))
    (together,) = deploy.plans(pytorch_like(0, SHAPES), cfg, "best", 50, 4)
    assert z2.runs == "whole" and z2.beside.break_even_batch is None
    assert (z2.tiles, z2.weight_tiles, z2.weight_bytes) == (plan.tiles, 2048, plan.tiles * 256)
    assert z2.used["bram36"] == storage.most(cfg)["bram36"]
    assert z2.free["bram36"] == made.has["bram36"] - made.reserve["bram36"]
    assert z2.alone.cycles == predicted.cycles
    assert z2.alone.steps_per_second == pytest.approx(cfg.clock_mhz * 1e6 * 50 / predicted.cycles)
    assert z2.alone.load_cycles == cycles.predict(cfg, plan.load_program()).cycles
    assert z2.alone.utilization == pytest.approx(answer.weights * 50 / 256 / predicted.cycles)
    launches = plan_launches(together, Call((50,) * 4))
    taken = sum(cycles.predict(cfg, together.program_of(s)).cycles for s in launches)
    assert (z2.beside.sequences, z2.beside.cycles) == (4, taken)
    assert z2.beside.steps_per_second == pytest.approx(cfg.clock_mhz * 1e6 * 200 / taken)


@pytest.mark.parametrize(
    ("sizes", "directions", "resident"),
    [([256, 256, 256], None, 0), ([64, 128, 128], (2, 2), 1)],
)
def test_what_is_too_large_for_a_chip_runs_by_levels(
    sizes: list[int], directions: tuple[int, ...] | None, resident: int
) -> None:
    model, cfg = pytorch_like(0, sizes, directions), config.load("pynq-z2")
    answer = fit(model, "pynq-z2")
    found = answer.configs[0]
    assert [one.config for one in answer.configs] == [c.name for c in config.of_board("pynq-z2")]
    assert (found.runs, answer.best, answer.instead) == ("by levels", "pynq-z2", ())
    assert found.alone and found.beside
    plans = deploy.plans(model, cfg, sequences=1)
    loads = [cycles.predict(cfg, plan.load_program()).cycles for plan in plans]
    taken = sum(cycles.predict(cfg, plan.program([100])).cycles for plan in plans)
    assert len(plans) == len(found.alone.schedules) == 2
    assert found.tiles == max(plan.tiles for plan in plans)
    assert plans[resident].tiles * cfg.tile_beats < loads[resident]
    assert (found.alone.cycles, found.alone.load_cycles) == (taken, sum(loads))
    assert found.alone.steps_per_second == pytest.approx(1e8 * 100 / (taken + sum(loads)))
    short = fit(model, "pynq-z2", steps=5).configs[0]
    for speed in (short.alone, short.beside):
        assert speed is not None and speed.break_even_batch is not None
        batch, each = speed.break_even_batch, speed.cycles / speed.sequences
        assert batch > 1 and (batch - 1) * each < speed.load_cycles <= batch * each
    assert "levels run one after the other" in table(answer)
    assert "levels run one after the other" not in table(fit(pytorch_like(0, SHAPES)))


def test_larger_config_without_reloads_is_taken_first() -> None:
    sizes = [256, 256, 256]
    answer = _fit(sizes)
    levels = ["by levels"] * 2
    runs = [found.runs for found in answer.configs if found.format == DEFAULT_FORMAT]
    assert runs == ["no", *levels, "whole", "whole"]
    assert answer.best == "kv260" and _fit([64, 128], (2,)).best == "pynq-z2"
    for model, steps, name in (
        (pytorch_like(0, sizes), 1, "kv260"),
        (pytorch_like(0, [8, 16, 16], (2, 2)), 1, "tiny"),
        (pytorch_like(0, [4, 8, 8]), 100, "pynq-z2"),
    ):
        chosen = choose(model, None, None, required=True, steps=steps)
        assert chosen is not None and chosen.name == name


def test_fewer_bits_count_only_when_asked_for() -> None:
    sizes = [256, 256, 256]
    answer = _fit(sizes, steps=50)
    every = {found.config: found.runs for found in answer.configs}
    assert (every["pynq-z2"], every["pynq-z2-small"]) == ("by levels", "whole")
    assert answer.best == "kv260"
    assert _fit(sizes, steps=50, on="pynq-z2").best == "pynq-z2"
    assert _fit(sizes, steps=50, fmt="W4A8").best == "pynq-z2-small"
    options = _fit([300, 200], on="pynq-z2", fmt="W8A8").instead
    assert {o.config for o in options if o.how == "config"} == {"pynq-z2-fast"}


def test_named_config_is_refused_only_if_a_level_is_too_large() -> None:
    cfg = config.load("pynq-z2")
    assert choose(pytorch_like(0, [256, 256, 256]), "pynq-z2", None, required=True) == cfg
    for model, knobs, said in (
        (pytorch_like(0, [8, 8, 257]), {}, "layer 1 has 257 units, pynq-z2 holds 256"),
        (pytorch_like(0, [8, 256, 256]), {"weight_tiles": 2047}, "layer 1 alone needs 2048 tiles"),
        (pytorch_like(0, [8, 8], (2,)), {"chains": 1}, "takes 2 chains, pynq-z2 has 1"),
    ):
        with pytest.raises(UsageError, match=said):
            choose(model, resized(cfg, **knobs), None, required=True)


def test_board_without_the_memory_holds_nothing() -> None:
    answer = _fit(SHAPES, fmt="W16A16", on="pynq-z2")
    assert answer.best is None and answer.weight_bytes == 2 * answer.weights
    assert _fit([256, 256], fmt="W16A16", on="pynq-z2").instead[0].how == "format"
    taken = storage.most(config.load("pynq-z2").with_format("W16A16"))["bram36"]
    assert f"takes {taken:g} BRAM36, the PYNQ-Z2 has 132" in (answer.configs[0].reason or "")
    eight, own = answer.instead
    assert (eight.how, eight.config, eight.format) == ("format", "pynq-z2", "W8A16")
    assert (own.how, own.config, own.format) == ("config", "pynq-z2", "W16A16")
    assert own.knobs == {"weight_tiles": 208}
    assert _stages("pynq-z2", "W16A16", SHAPES, **own.knobs) == 1


def test_engine_without_a_board_counts_only_when_asked_for() -> None:
    answer = _fit([4, 8], fmt="W16A16")
    assert [found.runs for found in answer.configs if found.board == "none"] == ["whole"]
    assert answer.best is None
    assert _fit([4, 8], fmt="W16A16", on="none").best == "tiny"
    instead = _fit([4, 8], fmt="W16A16", on="pynq-z2").instead
    assert [option.how for option in instead] == ["format", "config"]


def test_other_boards_and_own_configs_are_named() -> None:
    sizes = [300, 200]
    answer = _fit(sizes, on="pynq-z2")
    other, own = answer.instead
    assert (other.how, other.config, other.format) == ("board", "ultra96-v2", "W8A16")
    assert _stages("ultra96-v2", "W8A16", sizes) == 1
    assert (own.how, own.format, own.knobs) == ("config", "W8A16", {"max_input": 300})
    assert _stages("pynq-z2", "W8A16", sizes, **own.knobs) == 1


def test_stack_too_long_for_buffer_or_program_runs_by_levels() -> None:
    for sizes, steps, runs in (
        (SHAPES, 256, "whole"),
        (SHAPES, 257, "by levels"),
        ([4] + [8] * 25, 100, "by levels"),
    ):
        assert assess(pytorch_like(0, sizes), config.load("pynq-z2"), steps).runs == runs


def test_own_config_holds_a_stack_whole_or_by_levels() -> None:
    sizes = [300, 200, 200]
    own = next(o for o in _fit(sizes, on="pynq-z2").instead if o.how == "config")
    assert _stages("pynq-z2", "W8A16", sizes, **own.knobs) == 2
    assert own.knobs == {"max_input": 300} and "level by level" in own.text
    sizes = [300, 100, 100]
    own = next(o for o in _fit(sizes, on="pynq-z2", steps=300).instead if o.how == "config")
    assert _stages("pynq-z2", "W8A16", sizes, 300, **own.knobs) == 1
    assert own.knobs["sequence_words"] == 300 * 7 and "level by level" not in own.text


def test_uram_columns_are_shifted_where_that_helps() -> None:
    own = next(o for o in _fit([64, 64], fmt="W16A16").instead if o.config == "zcu104")
    assert "uram_columns" in own.knobs
    assert _stages("zcu104", "W16A16", [64, 64], **own.knobs) == 1


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


def test_other_limits_are_named() -> None:
    said = _fit([5000, 4], on="pynq-z2").instead[-1].text
    assert "max_input = 5000 must be a whole number 1 to 4096" in said


def test_answer_has_the_verdict_first_in_80_columns() -> None:
    answers = [_fit(sizes) for sizes in (SHAPES, [256, 256, 256], [1000, 900])]
    lines = table(answers[0]).splitlines()
    assert lines[0] == "model: 12 -> 64 -> 64, 52,224 weights, 100 steps"
    alone = answers[0].configs[1].alone
    assert alone is not None
    ms = f"{alone.cycles / 1e5:.3g} ms for 100 steps at 100 MHz, modelled"
    assert lines[2] == f"fits PYNQ-Z2 (pynq-z2, W8A16): {ms}"
    told = " ".join(" ".join(lines).split())
    assert "also: fits ZCU104 (zcu104, W8A16)" in told
    assert "also: fits PYNQ-Z2 (pynq-z2-fast, W8A8)" in told
    assert "an engine for tests (tiny, W8A16) does not hold it: layer 0 has 64 units" in told
    used = storage.counted(config.load("kv260").digest)
    assert used is not None
    told = " ".join(table(_fit(SHAPES, on="kv260")).split())
    assert f"URAM, {used['lut']:,} of 105,120 LUT, {used['dsp']} of 1,248 DSP that" in told
    assert "LUT" not in table(_fit(SHAPES, fmt="W9A9")).split("Modelled")[0]  # not counted
    assert "what would:" in table(_fit(SHAPES, on="none"))
    assert "3 -> 4 -> 5 -> ... -> 8," in table(_fit([3, 4, 5, 6, 7, 7, 8], on="none"))
    assert "3 -> 4 + 4 -> 5," in table(_fit([3, 4, 5], (2, 1), on="none"))
    for answer in (*answers, _fit([5000, 4], on="pynq-z2")):
        assert max(map(len, table(answer).splitlines())) <= 80


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, SHAPES)))
    return tmp_path


def test_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fit", "m.npz", "--json", "f.json"]) == 0
    assert "fits PYNQ-Z2" in capsys.readouterr().out
    report = json.loads(Path("f.json").read_text())
    assert report["best"] == "pynq-z2"
    assert report == json.loads(json.dumps(asdict(fit(load("m.npz")))))
    assert cli.main(["fit", "m.npz", "--json", "-", "--board", "none"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["best"] is None
    assert said.err == "lstm-sharp: no shipped config for board none holds m\n"


@pytest.mark.parametrize(
    ("sizes", "board", "knobs"),
    [
        (SHAPES, [], {"board": "pynq-z2", "format": "W8A16"}),
        ([256, 256], ["--format", "W16A16", "--board", "pynq-z2"], {"board": "pynq-z2"}),
        ([12, 300], ["--board", "pynq-z2"], {"board": "pynq-z2"}),  # not that of a larger board
    ],
)
def test_a_config_is_written(
    folder: Path, sizes: list[int], board: list[str], knobs: dict[str, object]
) -> None:
    np.savez("m.npz", **torch_names(pytorch_like(0, sizes)))
    assert cli.main(["fit", "m.npz", "--write-config", "own.json", *board]) in (0, 2)
    made = json.loads(Path("own.json").read_text())
    assert made["name"] == "own" and made.items() >= knobs.items()
    np.save("x.npy", np.random.default_rng(0).normal(size=(1, 3, sizes[0])))
    told = ["--config", "own.json", "--json", "r.json"]
    assert cli.main(["run", "m.npz", "--input", "x.npy", "--output", "y.npy", *told]) == 0
    assert json.loads(Path("r.json").read_text())["config"] == "own"
