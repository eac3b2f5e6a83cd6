"""Sessions compile for the engine of their backend, and report figures of both."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.hls import hls_cycles
from lstm_sharp.run import deploy
from lstm_sharp.run.session import Session
from models import pytorch_like

TINY = config.load("tiny")
MODEL = pytorch_like(0, [3, 6, 4])
X = np.random.default_rng(0).uniform(-1, 1, (3, 5, 3)).astype(np.float32)
BACKENDS = [
    pytest.param("float", None, id="float"),
    pytest.param("golden", None, id="golden"),
    pytest.param("csim", "hls", id="csim", marks=pytest.mark.csim),
    pytest.param("rtl", "sv", id="rtl", marks=pytest.mark.rtl),
]


@pytest.mark.parametrize("given", ["hls", "sv"])
@pytest.mark.parametrize(("backend", "engine"), BACKENDS)
def test_each_backend_has_its_engine(backend: str, engine: str | None, given: str) -> None:
    """Whichever engine a config is for; cycles are the sv engine's, hls_cycles the kernel's."""
    with Session(MODEL, TINY.of(given), backend, schedule="elementwise") as session:
        session.run(X)
        report, model = session.report, session.quantized
        assert session.cfg == TINY.of(engine or "sv")
        assert {stage.plan.cfg for stage in session.stages(5, 3)} == {session.cfg}
    assert report is not None and report.engine == engine
    sv, hls = (deploy.deploy(model, TINY.of(e), "elementwise", 5, 3) for e in ("sv", "hls"))
    run, loads = deploy.predict(sv, [5] * 3, False, False)
    on_hls = [p for stage in hls for p in stage.programs([5] * 3, False, False)]
    assert (report.predicted_cycles, report.predicted_load_cycles) == (run.cycles, loads)
    assert report.hls_cycles == sum(hls_cycles(TINY.of("hls"), program) for program in on_hls)
    assert report.cycles == (run.cycles if backend == "rtl" else None)
    assert report.utilization == report.ideal_cycles / run.cycles


@pytest.mark.parametrize(("least", "searched"), [(0, ["sv"]), (30, ["sv", "hls"])])
def test_what_has_one_distance_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch, least: int, searched: list[str]
) -> None:
    seen: list[tuple[str, int]] = []
    plans = deploy.plans

    def count(model: object, cfg: config.Config, schedule: str, *key: int) -> object:
        seen.append((cfg.engine, *key))
        return plans(model, cfg, schedule, *key)

    monkeypatch.setattr(deploy, "plans", count)
    with Session(MODEL, config.resized(TINY, min_tail=least), calibration=X) as session:
        seen.clear()
        for _ in range(2):
            session.run(X)
        report = session.report
    assert seen == [(engine, 5, 3) for engine in searched]
    assert report is not None and report.hls_cycles
