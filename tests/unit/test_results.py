"""What the documentation shows belongs to what is in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_sharp.engine import config, storage
from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render
from workshop import pictures, results, shape_resources, tables, waves
from workshop.paper import page


def test_tables_are_those_of_the_results() -> None:
    assert tables.rewrite(check=True) == [], "run make tables"


def test_a_changed_result_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = results.read("resources")
    seen["pynq-z2"]["used"]["lut"] += 1
    monkeypatch.setattr(results, "read", lambda name, read=results.read: _instead(name, read, seen))
    assert tables.rewrite(check=True) == ["docs/engines.md", "docs/resources.md"]


def test_pictures_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pictures.stale() + page.stale() == [], "run make pictures, or make paper"
    monkeypatch.setattr(results, "read", lambda name, read=results.read: {**read(name), "also": 1})
    assert pictures.stale() == ["bench.png", "pipeline.png", "report.png"]
    assert len(page.stale()) == len(page.PICTURES) == 4


def _instead(name: str, read, seen):  # type: ignore[no-untyped-def]
    return seen if name == "resources" else read(name)


def test_timing_diagrams_are_those_of_their_sources() -> None:
    pytest.importorskip("wavedrom")
    drawn = waves.drawn()
    assert len(drawn) == 3
    for path, text in drawn.items():
        assert path.read_text(encoding="utf-8") == text, "run python -m workshop.waves"


@pytest.mark.parametrize("name", config.shipped())
def test_resources_are_of_this_rtl(name: str, tmp_path: Path) -> None:
    cfg, seen = config.load(name), results.read("resources")[name]
    render(cfg, tmp_path)
    sources = tools.digest(verilate.synthesised(tmp_path))
    assert (seen["identity"], seen["sources"]) == (cfg.digest, sources), "run make resources"
    assert seen["witness"]
    assert seen["used"]["dsp"] == cfg.dsps
    if seen["free"]:
        assert all(seen["used"][kind] <= seen["free"][kind] for kind in seen["free"])


TOO_DEEP = {(208, (4, 8)): "5 LUT: u_mfu.beside_q[] -> RAM32M u_h_buffer.mem"}
"""What docs/shapes.md says of an engine of the study that nobody ships."""


@pytest.mark.parametrize("place", range(len(shape_resources.engines())))
def test_resources_of_shapes_are_of_this_rtl(place: int, tmp_path: Path) -> None:
    cfg = shape_resources.engines()[place]
    seen = results.read("shape_resources")["engines"]
    render(cfg, tmp_path)
    told, renew = seen[place], "run python -m workshop.shape_resources"
    sources = tools.digest(verilate.synthesised(tmp_path))
    assert (told["identity"], told["sources"]) == (cfg.digest, sources), renew
    ks = tuple(shape.rows for shape in cfg.tile_shapes)
    assert told["witness"] is not any(told["failing"])
    assert all(TOO_DEEP[cfg.macs, ks] in path for path in told["failing"])
    one = next(entry for entry in seen if entry["macs"] == cfg.macs)
    assert told["used"]["lut"] <= 2 * one["used"]["lut"]


@pytest.mark.parametrize("name", config.shipped())
def test_memories_worked_out_are_those_that_synthesis_makes(name: str) -> None:
    used = results.read("resources")[name]["used"]
    memories = storage.memories(config.load(name))
    worked_out = sum(memory.bram36 for memory in memories)
    # Synthesis puts small memories into LUTs and cuts the sequence buffer by its write groups.
    assert used["bram36"] == pytest.approx(worked_out, abs=4)
    assert used["uram"] == sum(memory.uram for memory in memories)
