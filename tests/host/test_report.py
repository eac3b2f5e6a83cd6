"""``lstm-sharp report``: its figures, its HTML, and what Chromium makes of it."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from browser import NONE
from lstm_sharp import cli, load
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.launches import Call
from lstm_sharp.engine import config
from lstm_sharp.engine.program import Op
from lstm_sharp.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.report import accuracy, contents, drawings, parts, speed, takes
from lstm_sharp.report.parts import Figure, Table
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.session import Session
from models import pytorch_like, torch_names

BROWSER = Path(__file__).parents[1] / "browser.py"
HOSTILE = "<script>alert(1)<b>&amp;\"'\udcff"
_LEGAL = {"meta", "link", "input", "br", "hr", "img"}
SECTIONS = ["model", "accuracy", "cycles", "timeline", "roofline", "memory", "resources", "help"]
LACKING = ["model", "accuracy", "limits", "resources", "help"]


class Seen(HTMLParser):
    """Elements of a page with their attributes; open ones have to close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.feed(text)
        assert not self.inside

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _LEGAL:
            self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


def write(path: Path, model: Model, width: int = 0) -> None:
    rng = np.random.default_rng(0)
    named = {f"lstm.{name}": value for name, value in torch_names(model).items()}
    if width:
        named |= {"fc.weight": rng.normal(size=(3, width)), "fc.bias": np.zeros(3)}
    np.savez(path, **{name: value.astype(np.float32) for name, value in named.items()})


def words_of(here: Path) -> list[str]:
    words = f"report {here}/m.npz --config pynq-z2 --input {here}/x.npy"
    return [*words.split(), "--calibration", f"{here}/calibration.npy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pages: of a stack that fits, and of a layer with a hostile name."""
    here = tmp_path_factory.mktemp("report")
    write(here / "m.npz", pytorch_like(0, [5, 24, 20]), 20)
    write(here / f"{HOSTILE}.npz", pytorch_like(1, [40, 8]))
    rng = np.random.default_rng(1)
    for name, scale, count in (("x", 5, 6), ("calibration", 1, 9)):
        x = rng.uniform(-scale, scale, (count, 11, 5)).astype(np.float32)
        np.save(here / f"{name}.npy", x)
    assert cli.main([*words_of(here), "-o", f"{here}/m.html"]) == 0
    words = ["report", f"{here}/{HOSTILE}.npz", "--config", "tiny", "-o", f"{here}/no.html"]
    assert cli.main(words) == 0
    return here


@pytest.fixture(scope="module")
def job(folder: Path) -> parts.Job:
    x, calibration = (np.load(folder / f"{name}.npy") for name in ("x", "calibration"))
    model = load(folder / "m.npz")
    assert isinstance(model, Model)
    return contents._job(model, config.load("pynq-z2"), x, calibration)


@pytest.mark.parametrize(("name", "sections"), [("m", SECTIONS), ("no", LACKING)])
def test_html_stands_alone(folder: Path, name: str, sections: list[str]) -> None:
    text = (folder / f"{name}.html").read_text()
    seen = Seen(text)
    assert [s["id"] for s in seen.of("section")] == sections
    ids = [attributes["id"] for _, attributes in seen.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [attributes["href"] for attributes in seen.of("a")]
    assert links == [f"#{section}" for section in sections]
    for tag, attributes in seen.found:
        assert tag not in ("script", "link", "img", "iframe", "object", "image", "use", "base")
        assert not {"src", "srcset", "xlink:href", "style"} & set(attributes)
        assert not any(key.startswith("on") for key in attributes)
    assert "url(" not in text.replace('"url(#a)"', "") and "@import" not in text
    assert "default-src 'none'" in text
    drawn = [attributes for attributes in seen.of("svg") if attributes.get("role") == "img"]
    assert len(drawn) == (6 if name == "m" else 1) and all(one["aria-label"] for one in drawn)
    assert all(table["aria-label"] for table in seen.of("table"))
    assert all(head["scope"] in ("col", "row") for head in seen.of("th"))
    levels = [int(tag[1]) for tag, _ in seen.found if re.fullmatch("h[1-6]", tag)]
    assert levels == [1] + [2] * len(sections)


def test_same_input_same_bytes(folder: Path) -> None:
    out = folder / "again.html"
    command = [sys.executable, "-m", "lstm_sharp", *words_of(folder), "-o", out]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert out.read_bytes() == (folder / "m.html").read_bytes()


def test_figures_are_those_of_a_session(folder: Path) -> None:
    model, x = load(folder / "m.npz"), np.load(folder / "x.npy")
    assert isinstance(model, Model)
    data = np.load(folder / "calibration.npy")
    with Session(model, "pynq-z2", calibration=data, compare=True) as session:
        with pytest.warns(UserWarning, match="are clipped"):
            session.run(x)
        report = session.report
        session.run(x[:1])
        alone = session.report
    assert report and alone and report.signal_to_error and report.max_abs_error
    text = (folder / "m.html").read_text()
    ms = alone.predicted_cycles / alone.clock_mhz / 1e3
    assert f"all weights resident: {ms:.3g} ms a sequence of 11 steps at 100 MHz." in text
    assert f"h has {report.signal_to_error:.1f} dB of signal to error" in text
    assert f"its largest error is {report.max_abs_error:.2g}" in text
    assert f"<td>{alone.predicted_cycles:,}</td>" in text
    assert f"{report.saturated_x:,} of {x.size} values of x are clipped" in text
    assert "labels changed" in text


def test_errors_by_step_and_the_worst(job: parts.Job) -> None:
    x = job.x
    right = reference.run(job.model, x).h
    h, _ = golden.run(job.made, job.made.quantize_input(x))
    error = np.abs(job.made.dequantize_h(h) - right)
    steps = accuracy.Steps(job)
    assert steps.most[-1] == pytest.approx(error.max(axis=(0, 2)))
    rms = np.sqrt(np.square(error).mean(axis=(0, 2)))
    assert np.sqrt(steps.square[-1] / len(x)) == pytest.approx(rms)
    assert [e for e, *_ in steps.seen] == pytest.approx(np.sort(error, axis=None)[:-6:-1])
    for e, b, t, n, of_float, of_golden in steps.seen:
        assert (error[b, t, n], right[b, t, n]) == (e, of_float)
        assert of_golden == pytest.approx(right[b, t, n] + (of_golden - of_float))
        assert of_golden == job.made.dequantize_h(h)[b, t, n]


def test_steps_in_pieces_are_those_of_the_whole(
    job: parts.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = accuracy.Steps(job)
    monkeypatch.setattr(accuracy, "MOST_VECTORS", 2 * job.steps)
    pieces = accuracy.Steps(job)
    assert pieces.seen == whole.seen
    assert pieces.square == pytest.approx(whole.square) and (pieces.most == whole.most).all()


@pytest.mark.parametrize("name", ["pynq-z2", "tiny"])
@pytest.mark.parametrize("sizes", [[5, 24, 20], [20, 32], [3, 8, 8, 8]])
@pytest.mark.parametrize("schedule", ["intergate", "unfolded", "elementwise"])
def test_trace_is_what_the_cycle_model_counts(name: str, sizes: list[int], schedule: str) -> None:
    cfg = config.load(name)
    for count in (1, cfg.chains):
        for plan in deploy.plans(pytorch_like(0, sizes), cfg, schedule, 7, count):
            for program in deploy.programs(plan, Call((7,) * count)):
                spans = list(cycles.trace(cfg, program))
                told = cycles.predict(cfg, program)
                assert spans[-1].end + cfg.drain_cycles == told.cycles
                assert all(a.end <= b.begin for a, b in pairwise(spans))
                assert sum(span.waits for span in spans) == told.waits
                tiles = [s for s in spans if s.instruction.op == Op.TILES]
                slots = sum(s.end - s.begin - s.waits for s in tiles)
                assert slots == told.tiles + told.nops


def test_timeline(job: parts.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[drawings.Bar] = []
    monkeypatch.setattr(speed, "timeline", lambda bars, *rest: rows.extend(bars))
    list(speed.first_steps(job))
    array, *tails = rows
    assert [bar.name for bar in tails] == ["tail, layer 0", "tail, layer 1"]
    assert all(a.end <= b.begin for a, b in pairwise(array.pieces))
    for number, layer in enumerate("01"):
        order = [p.text for p in array.pieces if p.text.startswith(f"L{layer}")]
        x, h = ([text for text in order if part in text] for part in ("x(", "h("))
        assert x == sorted(x) and h == sorted(h) and order[0] == f"L{layer} x(0)"
        assert f"L{layer} h(0)" in h
        ends = {p.text: p.end for p in array.pieces if "h(" in p.text}
        cfg = job.cfg
        for piece in tails[number].pieces:  # h is there the tail after its last slot
            least = cfg.tail - cfg.most_passes + cfg.passes
            assert least <= piece.end - ends[piece.text] <= cfg.tail


def test_memory_map_adds_up(job: parts.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[drawings.Bar] = []
    monkeypatch.setattr(takes, "bars", lambda bars, *rest: rows.extend(bars))
    list(takes.memories(job))
    (plan,) = job.plans(1)
    weights = next(bar for bar in rows if bar.name == "weights")
    assert weights.whole == job.cfg.weight_tiles
    assert [p.begin for p in weights.pieces][1:] == [p.end for p in weights.pieces][:-1]
    lengths = [tiles for cell in plan.layers for tiles in (cell.x_tiles, cell.h_tiles)]
    assert [p.end - p.begin for p in weights.pieces] == lengths
    assert weights.pieces[0].begin == 0 and weights.pieces[-1].end == plan.tiles
    assert f"{plan.tiles:,} of" in weights.below
    share = job.made.macs_per_step / plan.tiles / job.cfg.macs
    assert f"{share:.0%} of them weights" in weights.below


def test_points_lie_below_the_roof(job: parts.Job, monkeypatch: pytest.MonkeyPatch) -> None:
    every: list[drawings.Series] = []
    monkeypatch.setattr(speed, "chart", lambda series, *rest, **how: every.extend(series))
    list(speed.roofline(job))
    roof, points, other = every
    stream = job.cfg.stream_bits / 8
    assert roof.points[1] == (job.cfg.macs / stream, job.cfg.macs)
    assert points.labels == ["1 sequence", "4 sequences"]
    for macs_a_byte, macs in points.points:
        assert macs <= min(job.cfg.macs, macs_a_byte * stream)
    beats = max(
        -(-job.model.input_size // job.cfg.columns) * job.cfg.word_beats,
        -(-job.model.hidden_size * 16 // job.cfg.stream_bits),
    )
    assert points.points[0][0] <= job.made.macs_per_step / (beats * stream)
    assert other.points[0][0] < 8 / job.made.fmt.weight_bits + 0.1


def test_what_is_drawn_says_what_it_is(job: parts.Job) -> None:
    found = contents.gather(job.model, job.cfg, job.x, job.calibration, lambda done, total: None)
    parts = [part for section in found.sections for part in section.parts]
    kinds = Counter(part.kind for part in parts if isinstance(part, Table | Figure))
    assert set(kinds) >= {"modelled", "golden model", "float model", "estimated"}
    assert all(card.kind in ("modelled", "golden model", "estimated") for card in found.cards)
    widths = {len(t.head) - len(row) for t in parts if isinstance(t, Table) for row in t.rows}
    assert widths == {0}


@pytest.mark.parametrize(
    ("sizes", "directions", "cell", "said"),
    [
        ([4, 8, 8], (2, 2), "lstm", "level by level, each reloaded"),
        ([4, 12], None, "gru", "all weights resident"),
    ],
)
def test_other_models(
    sizes: list[int], directions: tuple[int, ...] | None, cell: str, said: str
) -> None:
    model = pytorch_like(3, sizes, directions, cell)
    found = contents.gather(model, config.load("pynq-z2"), None, None, lambda done, total: None)
    assert said in found.verdict[0] and [s.name for s in found.sections] == SECTIONS
    assert "Data: drawn evenly from -1 to 1 (seed 1)" in found.sections[1].parts[0]


def test_integers_of_a_file_are_what_is_measured() -> None:
    model = pytorch_like(2, [4, 8])
    x = np.random.default_rng(2).uniform(-3, 3, (4, 6, 4))
    made = quantize(model, "W8A8", x)
    held = replace(model, quantized=made)
    cfg = config.load("pynq-z2-fast")
    found = contents.gather(held, cfg, x, None, lambda done, total: None)
    assert "the scales are those of the file" in found.sections[1].parts[0]
    tables = {p.title: p.rows for p in found.sections[1].parts if isinstance(p, Table)}
    assert tables["Error: h in float but for one thing"]
    assert all(name.startswith("ONNX") for name, *_ in tables["Error: h of other choices"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("m.npz --config nowhere -o r.html", "config 'nowhere' not found"),
        ("m.npz --config tiny -o r.txt", "r.txt tells no kind of file; end it in .html"),
        ("none.npz --config tiny -o none/r.html", "none/r.html cannot be written"),  # before work
        ("m.npz --config tiny --input nan.npy -o r.html", "NaN"),
        ("m.npz --config tiny --input wide.npy -o r.html", "6"),
        ("m.npz --config tiny --calibration wide.npy -o r.html", "calibration data"),
        ("m.npz --config tiny --format W9000A1 -o r.html", "W9000A1"),
        ("none.npz --config tiny -o r.html", "none.npz cannot be read"),
        ("m.npz -o r.html", "the following arguments are required: --config"),
    ],
)
def test_refused(
    folder: Path,
    arguments: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    np.save("nan.npy", np.full((2, 3, 5), np.nan))
    np.save("wide.npy", np.zeros((2, 3, 6)))
    Path("r.html").write_text("mine")
    try:
        status: object = cli.main(["report", *arguments.split()])
    except SystemExit as ended:
        status = ended.code
    shown = capsys.readouterr()
    assert status == 2 and shown.out == "" and said in shown.err
    assert shown.err.count("\n") == 1 and len(shown.err) <= 301
    assert Path("r.html").read_text() == "mine"


@pytest.fixture(scope="module")
def browser(folder: Path) -> Callable[[str, str], dict]:
    """Open a page in Chromium; in a process of its own, which knows one colour scheme."""

    def open_page(name: str, scheme: str) -> dict:
        (folder / name).mkdir(exist_ok=True)
        command = [sys.executable, BROWSER, folder / f"{name}.html", folder / name, scheme]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode == NONE:
            pytest.skip(f"no Chromium here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return open_page


@pytest.mark.parametrize(
    ("name", "scheme"), [("m", "light"), ("m", "dark"), ("no", "light"), ("no", "dark")]
)
def test_in_chromium(folder: Path, browser: Callable, name: str, scheme: str) -> None:
    told = browser(name, scheme)
    assert told["console"] == []
    page = (folder / f"{name}.html").as_uri()
    assert set(told["requests"]) == {page}
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", (folder / f"{name}.html").read_text())
    for width, seen in told["seen"].items():
        assert seen["loaded"] and seen["width"] == int(width)
        assert seen["scrolls"] == seen["width"]  # the body is no wider than the window
        assert seen["dark"] == (scheme == "dark")
        back, text = (sum(map(int, re.findall(r"\d+", seen[k])[:3])) for k in ("back", "text"))
        assert (back < 150 and text > 600) if scheme == "dark" else (back > 700 and text < 150)
        assert seen["sections"] == titles
        assert all(height > 50 for height in seen["drawings"]) and seen["outside"] == []
        assert (folder / name / f"{scheme}-{width}.png").read_bytes().startswith(b"\x89PNG")
    printed = " ".join(" ".join(told["printed"]).split())
    captions = re.findall(r"<figcaption>(.*?) ?<", (folder / f"{name}.html").read_text())
    assert len(captions) > 5
    for text in (*titles, *captions):
        assert html.unescape(text) in printed
    if name == "no":
        assert "<script>alert(1)" in printed
