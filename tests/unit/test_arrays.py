"""The study of arrays: what documentation shows of it is of these configs and this cycle model."""

from __future__ import annotations

import pytest

from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import KINDS, facts
from lstm_sharp.explore.candidates import bound
from lstm_sharp.runtime.session import Session
from workshop import arrays, results

RENEW = "run python -m workshop.arrays"
OF_BOARDS = [name for name in config.shipped() if config.load(name).board in arrays.BOARDS]


@pytest.fixture(scope="module")
def seen() -> dict:
    return results.read("arrays")


@pytest.mark.parametrize("name", OF_BOARDS)
def test_a_shipped_array_is_among_the_best_that_were_tried(name: str, seen: dict) -> None:
    cfg, found = config.load(name), seen["tried"][name]
    same = {"rows": cfg.rows, "columns": cfg.columns, "lanes": cfg.lanes, "k_list": []}
    (own,) = (one for one in found if same.items() <= one.items())
    assert (own["dsps"], own["lut_columns"]) == (cfg.dsps, cfg.lut_columns), RENEW
    assert own["steps_per_second"] >= 0.97 * max(one["steps_per_second"] for one in found)
    now = arrays.ask(cfg, (32, 64))
    for sequences, of in now["utilization"].items():
        assert of.items() <= own["utilization"][sequences].items(), RENEW


def test_arrays_are_asked_only_if_they_fit() -> None:
    base = config.load("pynq-z2")
    for cfg in list(arrays.candidates(base))[::5]:
        assert not any(config.board_problems(cfg))
        assert cfg.dsps <= facts("pynq-z2").free("dsp")
        assert all(
            bound(cfg, [LayerShape(size, size)], n) <= arrays.cycles_of(cfg, size, n)
            for size in (24, 64)
            for n in (1, 4)
        )


def test_figures_are_of_these_engines(seen: dict) -> None:
    engines = {cfg.name: cfg for cfg in (*map(config.load, OF_BOARDS), *arrays.of_z1())}
    simulated = seen["simulated"]
    for one in (*simulated["packed"], *simulated["demo"], *simulated["ocr"], *seen["counted"]):
        assert one["identity"] == engines[one["config"]].digest, RENEW
    for name, of in arrays.cases().items():
        for one, (cfg, model, x) in zip(simulated[name], of):
            session = Session(model, cfg, calibration=x)
            session.run(x)
            assert (one["config"], one["cycles"]) == (cfg.name, session.report.predicted_cycles)
    free = {kind: facts("pynq-z1").free(kind) for kind in KINDS}
    assert all(one["used"][kind] <= free[kind] for one in seen["counted"] for kind in KINDS)


def test_what_it_must_reach(seen: dict) -> None:
    simulated = seen["simulated"]
    assert all(one["macs_per_dsp"] >= 1.9 for one in simulated["packed"])
    default, fast, _ = simulated["demo"]
    assert default["utilization"] >= 0.95
    assert 2 * fast["cycles"] <= simulated["demo_before"]
    assert [one["gops"] >= least for one, least in zip(simulated["ocr"], (70, 80, 150))] == 3 * [1]
    assert [one["config"] for one in seen["counted"] if not one["witness"]] == []
