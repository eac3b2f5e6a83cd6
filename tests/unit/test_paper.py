"""What the paper's page shows is what the models say, each figure has its kind, and it is fresh."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lstm_sharp import cli
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.engine import config
from lstm_sharp.errors import ToolError
from workshop import results
from workshop.paper import __main__ as paper
from workshop.paper import cpu, energy, gpu, networks, page, rivals
from workshop.paper.utilisation import BUDGETS, SIZES, STEPS

FOUND = page.found()
RIVALS = FOUND["modelled"]["rivals"]
CHAIN = RIVALS["chain"]


@pytest.mark.parametrize("at", range(len(BUDGETS)))
def test_rivals_are_those_of_the_model(at: int) -> None:
    told, macs, place = RIVALS["budgets"][at], BUDGETS[at], (at + 2) % len(SIZES)
    shape = LayerShape(SIZES[place], SIZES[place])
    for name, width in rivals.UNITS.items():
        assert rivals.epur(shape, macs, STEPS, width) / STEPS == told["epur"][name][place]
    for name, of in rivals.SCALINGS.items():
        seen = rivals.brainwave(shape, of(macs), STEPS, CHAIN).cycles / STEPS
        assert seen == told["brainwave"][name][place]
    whole = rivals.step(SIZES[place], macs)
    assert told["ours"][place] <= whole <= 1.1 * told["ours"][place]


def test_ideas_make_up_the_whole() -> None:
    for budget in RIVALS["budgets"]:
        for rival, scaling in (("epur", "wider"), ("brainwave", "smaller tiles")):
            whole = budget["speedup"][rival][scaling]
            assert prod(budget[f"{rival}_ideas"]) == pytest.approx(whole, rel=0.005)
    own = RIVALS["brainwave"]
    assert prod(own["ideas"]) == pytest.approx(own["speedup"], rel=0.005)


def test_epur_takes_its_x_part_first_and_waits_for_h() -> None:
    """64 multipliers, 4 rows of 16 columns; 8 neurons, 32 inputs: 16 + 8 slots a step."""
    few, many = (rivals.epur(LayerShape(32, 8), 64, steps, 16) for steps in (10, 20))
    array = replace(config.load("tiny"), rows=4, columns=16, lanes=1)
    assert (many - few) / 10 == 16 + 8 + array.tail - 1
    longer = [rivals.epur(LayerShape(32, 8), 64, steps, 16, tail=2) for steps in (10, 20)]
    assert (longer[1] - longer[0]) / 10 == 16 + 8 + 2 * array.tail - 1


def test_brainwave_is_within_15_percent_of_each_published_time() -> None:
    deepbench = FOUND["published"]["deepbench"]
    for kind, gates in (("lstm", 4), ("gru", 3)):
        again = rivals.fit(deepbench[kind], FOUND["published"]["brainwave"]["clock_mhz"], gates)
        assert again == RIVALS["fits"][kind]
        assert max(map(abs, again["forms"]["max(L, T)"]["errors"])) < 0.15
    for row in deepbench["lstm"]:
        shape = LayerShape(row["hidden"], row["hidden"])
        seen = rivals.brainwave(shape, rivals.BrainWave(), row["steps"], CHAIN).cycles / 250e3
        assert seen == pytest.approx(row["brainwave_ms"], rel=0.15)
    largest = deepbench["gru"][-1]["hidden"]
    assert rivals.BrainWave().gate_cycles(largest, largest) == 110  # 64 tiles on 6 engines


def test_a_network_and_a_lstm_of_deepbench_are_those_of_the_model() -> None:
    told = FOUND["modelled"]["networks"]
    (network,) = (n for n in FOUND["published"]["networks"] if n["name"] == "EESEN")
    assert list(networks.layers(network)) == [(340, 1), (680, 4)]
    seen = networks._network(network, BUDGETS[2], CHAIN)
    assert seen in told["networks"]
    row = FOUND["published"]["deepbench"]["lstm"][1]
    assert networks._deepbench(row, CHAIN, 250) == told["deepbench"][1]
    assert networks.flop(512, 512) == 16 * 512**2


def test_energy_is_that_of_the_constants() -> None:
    seen = energy.study(FOUND["modelled"]["utilisation"]["best_k"])
    told = {k: v for k, v in FOUND["modelled"]["energy"].items() if k != "of"}
    assert json.loads(json.dumps(seen)) == told
    for row in seen["budgets"]:
        assert row["high"]["gflops_per_watt"] < row["low"]["gflops_per_watt"]
    busy, idle = (energy.picojoules(64, 512, u, "low") for u in (1, 0.5))
    assert idle["idle"] == pytest.approx(2 * busy["idle"])
    assert busy["multiply and add"] == pytest.approx(0.5 * (1.1 + 0.4))


def test_each_figure_has_its_kind() -> None:
    for name, table in page.TABLES.items():
        rows = table(FOUND)
        assert {len(row) for row in rows} == {len(rows[0])}, name
        assert list(page.unmarked(rows)) == [], name
    rows = [["MACs", "ms"], ["1,024", "3"], ["1,024", "4 *recalled*"]]
    assert list(page.unmarked(rows)) == ["ms: 3"]
    rows = [
        ["system", "µs", "source, and what the row is"],
        ["A", "3", "S"],
        ["B", "3", "*recalled*"],
    ]
    assert list(page.unmarked(rows)) == ["µs: 3"]
    for part in (*FOUND["modelled"].values(), FOUND["measured"]["cpu"]):
        assert part["kind"] in page.KINDS


def test_what_is_published_says_where_and_how_certain() -> None:
    published = FOUND["published"]
    told = [*published["paper"], *published["systems"], *published["deepbench"]["columns"].values()]
    told += [published["brainwave"], published["lstm_pynq"]]
    for one in told:
        assert one["certainty"] in ("published by them", "recalled")
        assert one["source"]
        assert set(one.get("recalled", ())) <= set(one)
    one = {"name": "N", "macs": 64, "gops": 2.0, "certainty": "published by them", "source": "S"}
    row = page._system({**one, "recalled": ["macs"], "watts": 4})
    assert row[4:] == ["64 *recalled*", "", "", "2", "", "0.5", "S *published by them*"]


def test_page_is_made_of_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    for module in (paper.utilisation, rivals, networks, energy, cpu):
        monkeypatch.setattr(module, "study", _fails)
    monkeypatch.setattr(paper.tools, "digest", lambda *a: "same")
    read = results.read
    monkeypatch.setattr(results, "read", lambda name: _same(read(name)))
    assert paper.main(["-o", str(tmp_path / "new")]) == 0
    names = {path.name for path in (tmp_path / "new").iterdir()}
    pictures = {f"{name}.png" for name in page.PICTURES}
    assert names == {"README.md", "published.json", "modelled.json", "measured.json"} | pictures
    text = (tmp_path / "new" / "README.md").read_text()
    assert "](../lstm-pynq.md" not in text
    assert (tmp_path / "new" / text.split("[lstm-pynq.md](")[1].split(")")[0]).is_file()
    monkeypatch.setattr(paper.tools, "digest", lambda *a: "other")
    assert paper.main(["-o", str(tmp_path / "other")]) == 4  # it models anew, which fails here
    assert not list((tmp_path / "other").iterdir())


def _same(result: dict[str, Any]) -> dict[str, Any]:
    return {k: {**v, "of": "same"} if "of" in v else v for k, v in result.items()}


def _fails(*_: object) -> None:
    raise AssertionError("nothing is modelled or measured anew")


def test_a_folder_that_cannot_be_written_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paper, "_modelled", _fails)
    (tmp_path / "file").write_text("kept")
    assert paper.main(["-o", str(tmp_path / "file")]) == 2
    assert cli.main(["paper", "-o", str(tmp_path / "file" / "below")]) == 2
    (tmp_path / "folder" / "README.md").mkdir(parents=True)
    assert paper.main(["-o", str(tmp_path / "folder")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert (tmp_path / "file").read_text() == "kept"


def test_without_the_workshop_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "workshop.paper.__main__", None)
    assert cli.main(["paper", "-o", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "checkout" in line


def test_missing_libraries_have_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = cpu._apart("PyTorch", "float32", -1)  # no torch, or one that refuses so many threads
    assert row["absent"]
    seen = {**FOUND, "measured": {"cpu": {"rows": [row]}}}
    (_, cells) = page.TABLES["cpu"](seen)
    assert cells == [f"PyTorch, float32, -1: *not measured*, {row['absent']}"]
    monkeypatch.setattr(cpu, "_PATIENCE_S", 0.001)
    (row,) = cpu._apart("ONNX Runtime", "float32", 1)
    assert row["absent"] == "it took more than 0.001 s"


def test_onnx_runtime_is_timed_in_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "SIZES", ((8, 3),))
    monkeypatch.setattr(cpu, "timed", lambda once: [float(once()[0].shape[0]), 1.0, 4.0])
    for numbers in cpu.NUMBERS:
        rows = list(cpu._of_onnx(numbers, 1))
        assert [row["batch"] for row in rows] == list(cpu.BATCHES)
        assert rows[1]["gflops"] == round(16 * 64 * 3 * 16 / 3 / 1e9, 3)
        assert (rows[0]["median_ms"], rows[0]["least_ms"]) == (3000, 1000)


def test_runs_that_warm_up_do_not_count() -> None:
    calls: list[int] = []
    assert len(cpu.timed(lambda: calls.append(1), seconds=0)) == 3
    assert len(calls) == 4


def test_gpu_is_refused_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match="without PyTorch"):
        gpu.check()
    blind = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", blind)
    with pytest.raises(ToolError, match="sees no GPU"):
        gpu.check()
    monkeypatch.setattr(paper, "_modelled", _fails)
    assert paper.main(["-o", str(tmp_path), "--gpu"]) == 3


class _Card:
    """Stands in for a GPU: its clock goes on by a run's time, H x 10 us in FP32, half in FP16."""

    __version__ = "2.0"
    float16, float32 = 0.5, 1.0

    def __init__(self) -> None:
        self.now = 0.0
        self.runs = 0
        self.cuda = SimpleNamespace(
            Event=lambda enable_timing: _Event(self),
            synchronize=lambda: None,
            get_device_name=lambda: "stand-in",
        )
        self.backends = SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 9))
        self.nn = SimpleNamespace(LSTM=lambda *sizes: _Lstm(self, *sizes))

    def rand(self, *shape: int, device: str, dtype: float) -> tuple[int, ...]:
        assert device == "cuda"
        return shape

    inference_mode = staticmethod(lambda: memoryview(b""))


class _Event:
    def __init__(self, card: _Card) -> None:
        self.card, self.at = card, -1.0

    def record(self) -> None:
        self.at = self.card.now

    def elapsed_time(self, end: _Event) -> float:
        return end.at - self.at


class _Lstm:
    def __init__(self, card: _Card, x: int, hidden: int) -> None:
        self.card, self.hidden, self.factor = card, hidden, 0.0
        assert x == hidden

    def eval(self) -> _Lstm:
        return self

    def to(self, place: str, factor: float) -> _Lstm:
        self.factor = factor
        return self

    def __call__(self, x: tuple[int, ...]) -> None:
        assert x[1:] == (1, self.hidden)
        self.card.runs += 1
        self.card.now += self.factor * self.hidden / 100 * (100 if self.card.runs % 120 < 20 else 1)


def test_gpu_runs_are_timed_by_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_clocks", lambda: "1 MHz")
    card = _Card()
    seen = gpu.study(card)
    assert card.runs == (20 + 100) * len(seen["rows"])
    rows = {(row["numbers"], row["hidden"]): row for row in seen["rows"]}
    assert len(rows) == 2 * len(gpu.SIZES)
    assert rows["FP32", 512]["median_ms"] == 5.12
    assert rows["FP16", 512]["median_ms"] == 2.56
    assert rows["FP32", 512]["gflops"] == round(25 * 16 * 512**2 / 5.12e6, 3)
    assert (seen["card"], seen["clocks"], seen["kind"]) == ("stand-in", "1 MHz", "measured by us")
    table = page.TABLES["gpu"]({**FOUND, "measured": {"gpu": seen}})
    assert list(page.unmarked(table)) == []
    assert len(table) == 1 + len(rows)
