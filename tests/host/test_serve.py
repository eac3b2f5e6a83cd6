"""Several virtual boards behind one call, each of a process that may be killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from driver_user import integers, right, same
from lstm_sharp import cli, cluster, package, serve
from lstm_sharp.errors import BoardError, ToolError, UsageError
from lstm_sharp.numerics.quantized import QuantModel
from models import package_cli, pytorch_like, torch_names

pytest.importorskip("pynq")
distributed = pytest.importorskip("distributed")

SIZES = (4, 6)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    local = distributed.LocalCluster(
        n_workers=0,
        processes=False,
        dashboard_address=":0",
        silence_logs=50,
        host="tcp://127.0.0.1",
    )
    with local:
        yield local.scheduler_address


@pytest.fixture
def folder(with_engines: Path) -> Path:
    """A working folder with a package for the virtual board."""
    np.savez("m.npz", **torch_names(pytorch_like(0, SIZES)))
    assert package_cli("package", "--virtual") == 0
    return with_engines


class Boards:
    """Worker processes, each with a virtual board."""

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def add(self, of: str = "package") -> str:
        run = [sys.executable, "-m", "lstm_sharp", "worker", "--scheduler", self.scheduler]
        process = subprocess.Popen(
            [*run, "--package", of],
            env={**os.environ, "LSTM_SHARP_VIRTUAL": "pynq-z2", "PYTHONFAULTHANDLER": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stderr is not None
        said = process.stdout.readline()
        assert " m on tiny, for " in said, process.stderr.read()
        address = said.split(": ")[0]
        self.processes[address] = process
        return address

    def kill_at_work(self) -> None:
        """Kill a worker as soon as one has begun with a piece."""
        with distributed.Client(self.scheduler, set_as_default=False) as client:
            while not (busy := [one for one, keys in client.processing().items() if keys]):
                pass
        self.kill(busy[0])

    def kill(self, address: str) -> None:
        process = self.processes.pop(address)
        process.kill()
        process.communicate()


@pytest.fixture
def boards(scheduler: str, folder: Path) -> Iterator[Boards]:
    made = Boards(scheduler)
    yield made
    for address in list(made.processes):
        made.kill(address)


@pytest.fixture
def model(folder: Path) -> QuantModel:
    return package.read("package").model


def test_a_killed_worker_costs_no_sequence(
    boards: Boards, model: QuantModel, scheduler: str
) -> None:
    """Each sequence is answered once, and goes on where it was, whoever has answered before."""
    first, second = boards.add(), boards.add()
    x = integers(model, 12, 40, seed=1)
    (whole, _), (ends, _) = right(model, list(x)), right(model, list(x[:, ::-1]))
    with serve.Fleet(scheduler, "package") as fleet:
        assert sorted(fleet.boards) == sorted([first, second])
        assert same(list(fleet.run(x)), whole)
        assert fleet.answered.keys() == {first, second}
        assert sum(fleet.answered.values()) == 12 and not fleet.states
        names = [f"caller {i}" for i in range(12)]
        begun = fleet.run(x[:, :15], names)
        killer = threading.Thread(target=boards.kill_at_work)
        killer.start()
        order = list(reversed(range(12)))  # by name, not by place
        went_on = fleet.run(x[order, 15:], [names[i] for i in order])
        killer.join()
        assert same(list(np.concatenate([begun, went_on[::-1]], axis=1)), whole)
        assert sum(fleet.answered.values()) == 12 and len(fleet.boards) == 1
        boards.add()
        lengths = [40, 3] * 6
        found = fleet.run([one[:n] for one, n in zip(x[:, ::-1], lengths)], ["new", *names[1:]])
        assert same(found[:1], ends[:1])
        assert [len(one) for one in found] == lengths and fleet.states.keys() == {"new", *names}
        fleet.states.clear()
        padded = fleet.run(x, lengths=lengths)
        assert np.array_equal(padded[1, :3], whole[1][:3]) and not padded[1, 3:].any()


def test_where_all_boards_die_nobody_waits(
    boards: Boards, model: QuantModel, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "LOOK_S", 0.5)
    boards.add()
    x = integers(model, 4, 200)
    with serve.Fleet(scheduler, "package") as fleet:
        killer = threading.Thread(target=boards.kill_at_work)
        killer.start()
        with pytest.raises(ToolError, match="no board at tcp://.* has this package; on a board's"):
            fleet.run(x, ["a", "b", "c", "d"])
        killer.join()
        assert not fleet.states


def test_what_a_board_refuses_comes_back(boards: Boards, model: QuantModel, scheduler: str) -> None:
    address = boards.add()
    with serve.Fleet(scheduler, "package") as fleet:
        with pytest.raises(UsageError, match="time, 4\\) of at least one step"):
            fleet.run(np.zeros((2, 5, SIZES[0] + 1), np.float32))
        for names in (["a"], ["a", "a"]):
            with pytest.raises(UsageError, match="give each a name of its own"):
                fleet.run(integers(model, 2, 5), names)
        with pytest.raises(UsageError, match="no sequences"):
            fleet.run([])
        assert fleet.run(integers(model, 2, 5)).shape == (2, 5, SIZES[1])
    process = boards.processes.pop(address)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # where it stands
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err


def test_a_board_that_fails_is_reset_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Board:
        resets = 0

        def run(self, *_: object) -> None:
            raise BoardError("the DMA stands")

        def reset(self) -> None:
            self.resets += 1

    class Worker:
        address, lstm_sharp = "here", Board()

    monkeypatch.setattr(distributed, "get_worker", Worker)
    with pytest.raises(BoardError, match="the DMA stands"):
        serve._answer(None, None, None, "h")
    assert Worker.lstm_sharp.resets == 1


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        (["--scheduler", "here", "--package", "package"], 2, "'here' is no address of a scheduler"),
        (["--scheduler", "tcp://127.0.0.1:9", "--package", "no"], 2, "no is no package"),
        (["--scheduler", "tcp://127.0.0.1:9", "--package", "bare"], 2, "bare holds 0 overlays"),
        (["--scheduler", "tcp://127.0.0.1:9", "--package", "package"], 3, "no Dask scheduler answ"),
    ],
)
def test_bad_input(
    given: list[str],
    status: int,
    told: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    shutil.copytree("package", "bare", ignore=shutil.ignore_patterns("*.bit"))
    capsys.readouterr()
    assert cli.main(["worker", *given]) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_only_boards_with_the_package_answer(
    scheduler: str, boards: Boards, model: QuantModel
) -> None:
    first = boards.add()
    np.savez("m.npz", **torch_names(pytorch_like(1, SIZES)))
    assert package_cli("other", "--virtual") == 0
    with pytest.raises(ToolError, match="no board at tcp://.* has this package"):
        serve.Fleet(scheduler, "other")
    second = boards.add("other")
    np.savez("m.npz", **torch_names(pytorch_like(2, SIZES, (2,))))
    assert package_cli("both", "--virtual") == 0
    boards.add("both")
    with (
        serve.Fleet(scheduler, "both") as fleet,
        pytest.raises(UsageError, match="reverse layers begin at the end of each call: .* without"),
    ):
        fleet.run(integers(model, 1, 5), ["a"])
    x = integers(model, 6, 9)
    for held, address in (("package", first), ("other", second)):
        with serve.Fleet(scheduler, held) as fleet:
            assert same(list(fleet.run(x)), right(package.read(held).model, list(x))[0])
            assert fleet.answered == {address: 6}
