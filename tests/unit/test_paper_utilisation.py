"""What the paper's page shows of tile shapes is what the cycle model says."""

from __future__ import annotations

from statistics import fmean

import pytest

from lstm_sharp.compiler.perf import perf
from workshop import results
from workshop.paper import utilisation
from workshop.paper.utilisation import SIZES, Setting, ask

FOUND = results.read("paper/modelled")["utilisation"]


@pytest.mark.parametrize("at", range(len(SIZES)))
def test_best_k_is_that_of_the_model(at: int) -> None:
    row = FOUND["best_k"][at % len(FOUND["best_k"])]
    report = perf(SIZES[at], SIZES[at], row["macs"], steps=utilisation.STEPS)
    told = (row["k"][at], row["n"][at], row["utilization"][at])
    assert (report["k"], report["n"], round(report["utilization"], 4)) == told, "run make paper"


@pytest.mark.parametrize("at", range(8))
def test_lists_reach_what_is_told(at: int) -> None:
    row = FOUND["reconfiguration"][at]
    setting = Setting(row["macs"], chains=row["chains"], k_list=tuple(row["k_list"]))
    where = SIZES.index(340)
    for padding, name in ((True, "padding"), (False, "no_padding")):
        seen = ask(setting._replace(padding=padding), [340]).utilization
        assert seen == (row[name][where],), "run make paper"
    k = row["k_list"][at % 3]
    alone = ask(Setting(row["macs"], str(k), chains=row["chains"]), [340]).utilization
    assert alone == (row["alone"][str(k)][where],), "run make paper"


@pytest.mark.parametrize("at", range(4))
def test_ladder_is_that_of_the_model(at: int) -> None:
    budget = FOUND["ladder"][at]
    for rung in budget["rungs"][:5]:
        setting = Setting(budget["macs"], str(rung["k"][0]), rung["name"])
        assert list(ask(setting, SIZES[:3]).utilization) == rung["utilization"][:3]


def test_schedules_do_not_get_slower() -> None:
    for budget in FOUND["ladder"]:
        means = [fmean(rung["utilization"]) for rung in budget["rungs"]]
        names = [rung["name"] for rung in budget["rungs"]]
        assert means[:5] == sorted(means[:5])
        assert names[:5] == ["sequential", "batch", "intergate", "unfolded", "elementwise"]
        assert means[5] <= means[6] <= means[7]  # run-time K, padding, several sequences


def test_lists_are_the_best_that_were_tried() -> None:
    (chosen,) = (r for r in FOUND["reconfiguration"] if (r["macs"], r["chains"]) == (1024, 1))
    assert utilisation.ks(1024) == [16, 32, 64, 128, 256]
    for k_list in ([16, 32, 64, 128], [32, 64, 128, 256]):
        other = ask(Setting(1024, k_list=tuple(k_list)), [128, 340])
        assert sum(other.utilization) <= chosen["padding"][0] + chosen["padding"][2]


def test_settings_without_an_engine_have_no_figures() -> None:
    assert ask(Setting(65536, "2048")).utilization == ()
    assert ask(Setting(65536, "2048")).mean < 0
