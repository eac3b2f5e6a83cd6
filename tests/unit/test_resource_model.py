"""The model of resources against counts of engines that nothing is fitted to."""

from __future__ import annotations

import pytest

from lstm_sharp.engine import resources
from lstm_sharp.engine.knobs import Config, from_knobs
from workshop import resource_model, results

HELD_OUT = list(resource_model.held_out())
RENEW = "run python -m workshop.resource_model --fit"


def test_there_are_engines_that_nothing_is_fitted_to() -> None:
    drawn = set(results.read("resource_model")["counted"])
    assert len(HELD_OUT) >= 8
    assert not drawn & {cfg.digest for cfg, _ in HELD_OUT}


@pytest.mark.parametrize(("cfg", "used"), HELD_OUT, ids=[cfg.name for cfg, _ in HELD_OUT])
def test_an_engine_is_estimated_as_it_is_counted(cfg: Config, used: dict[str, float]) -> None:
    told = resources.estimate(cfg)
    assert told["dsp"] == pytest.approx(used["dsp"], rel=0.1)
    assert told["bram36"] == pytest.approx(used["bram36"], rel=0.1)
    assert told["uram"] == used["uram"]
    assert told["lut"] == pytest.approx(used["lut"], rel=0.2)


def test_dsps_and_memories_are_exact_where_they_follow_from_rules() -> None:
    """Shallow biases lie in LUTs, products of fewer than 9 bits too; h comes in bytes of 9 bits."""
    for one in results.read("resource_model")["counted"].values():
        told = resources.estimate(from_knobs(one["knobs"]))
        assert all(told[kind] == one["used"][kind] for kind in ("dsp", "bram36", "uram"))


def test_costs_are_those_that_counts_give() -> None:
    told = results.read("resource_model")
    assert resource_model.fitted(told["counted"].values()) == pytest.approx(told["costs"]), RENEW
    shown = {one["engine"]: one["estimated"] for one in told["held_out"]}
    assert shown == {cfg.name: resources.estimate(cfg) for cfg, _ in HELD_OUT}, RENEW


def test_fitting_finds_what_a_count_is_made_of() -> None:
    costs = {part: 2 * cost for part, cost in resource_model.DRAWN_UP.items()}
    counted = []
    for cfg in resource_model.drawn(60):
        luts = sum(costs[part] * size for part, size in resources.parts(cfg).items())
        counted.append({"knobs": cfg.knobs(), "used": {"lut": luts}})
    found = resource_model.fitted(counted)
    for one in counted[::5]:
        parts = resources.parts(from_knobs(one["knobs"]))
        told = sum(found[part] * size for part, size in parts.items())
        assert told == pytest.approx(one["used"]["lut"], rel=0.02)
