"""Sessions compile for the engine of their backend, and report figures of both."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.compiler import schedule
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.compiler.launches import Call
from lstm_sharp.engine import config
from lstm_sharp.engine.config import resized
from lstm_sharp.errors import EngineError, UsageError
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics.formats import DEFAULT_FORMAT
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime import session as session_module
from lstm_sharp.runtime.batch import head_by_length
from lstm_sharp.runtime.session import CUT_REVERSE, Session
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
    run, loads = deploy.predict_plans([stage.plan for stage in sv], Call((5,) * 3))
    on_hls = [p for stage in hls for p in deploy.programs(stage.plan, Call((5,) * 3))]
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


ONLY_G = np.array([[0.0], [0.0], [1.0], [0.0]])
COUNTER = Model((Layer(9 * ONLY_G, 0.05 * ONLY_G, 20 * (1 - ONLY_G[:, 0])),))
"""c counts the steps with x = 1 up, those with x = -1 down."""


def steps(up: int, down: int) -> np.ndarray:
    return np.repeat([1.0, -1.0], [up, down])[None, :, None]


@pytest.mark.parametrize("backend", ["golden", "csim"])
def test_a_state_that_saturates_is_told(backend: str) -> None:
    """In the run in which it does, also if c has come back by its end, and ever after."""
    typical = steps(4, 4)
    with Session(
        COUNTER, "tiny", backend, calibration=typical, stateful=True, compare=True
    ) as session:
        session.run(steps(100, 0))
        assert session.report and not session.report.notes
        told = {"golden": (0,), "csim": False}
        assert (session.report.saturated_x, session.report.saturated_c) == (0, told[backend])
        session.run(steps(150, 0))
        told = {"golden": (122,), "csim": True}
        assert session.report.saturated_c == told[backend]
        session.reset()
        session.run(steps(100, 0))
        h = session.run(steps(150, 150))
        often = " 122 times, by cells [122]" if backend == "golden" else ""
        assert session.report.notes[0].startswith(
            f"c saturates{often}: h may be wrong from there on;"
        )
        assert h[0, -1, 0] < -0.99 and session.report.max_abs_error > 1.9  # the float h is 1
        h = session.run(steps(0, 50))
        assert session.report.max_abs_error > 1.9  # the float model has kept its own c
        session.reset()
        h = session.run(steps(10, 0))
        assert not session.report.notes and session.report.max_abs_error < 1e-3


def test_float_goes_on_from_any_state_that_it_left() -> None:
    with Session(COUNTER, backend="float", stateful=True) as session:
        session.run(steps(300, 0))
        h, state = session.run(steps(0, 150), return_state=True)
        assert h[0, -1, 0] > 0.99 and state[1][0, 0, 0] == pytest.approx(150, abs=1e-3)
        again, _ = session.run(steps(0, 50), state, return_state=True)
    with Session(COUNTER, backend="float") as other:
        assert np.array_equal(other.run(steps(0, 50), state), again)
    with (
        Session(COUNTER, calibration=steps(1, 1)) as golden,
        pytest.raises(UsageError, match="c reaches 150, an engine holds 128 of .* backend float"),
    ):
        golden.run(steps(1, 1), state)


@pytest.mark.parametrize(("backend", "engine"), BACKENDS)
def test_a_gru_goes_on_from_its_h(backend: str, engine: str | None) -> None:
    """Its c is all that h was rounded from: given as both, no bit is lost."""
    model = pytorch_like(0, [3, 6, 4], (2, 1), "gru")
    asked = {"calibration": X, "compare": True}
    with (
        Session(model, "tiny", backend, **asked) as session,
        Session(model, "tiny", **asked) as right,
    ):
        h, (_, end) = session.run(X, return_state=True)
        assert session.report and session.report.max_abs_error < 3e-3
        assert backend == "float" or np.array_equal(h, right.run(X))
        with pytest.raises(UsageError, match="state c reaches 3, an engine holds 2"):
            right.run(X, (np.zeros_like(end), np.full_like(end, 3)))
    model = pytorch_like(1, [3, 6, 4], cell="gru")
    with Session(model, "tiny", backend, calibration=X) as session:
        h, (last, c) = session.run(X, return_state=True)
        first, (_, middle) = session.run(X[:, :2], return_state=True)
        again, (_, end) = session.run(X[:, 2:], (middle, middle), return_state=True)
    joined = np.concatenate([first, again], axis=1)
    if backend == "float":
        np.testing.assert_allclose(joined, h, rtol=0, atol=1e-6)
    else:
        assert np.array_equal(joined, h) and np.array_equal(end, c)
        assert 0 < np.abs(last - c).max() <= 2.0**-16


def test_a_gru_that_saturates_is_told() -> None:
    gates = np.array([[0.0], [0.0], [100.0], [0.0]])
    with Session(Model((Layer(gates, 0 * gates, 0 * gates[:, 0], kind="gru"),))) as session:
        session.run(np.array([[[-1.0], [1.0], [-1.0], [1.0]]]))
        assert session.report and not session.report.notes
        held = session.quantized.layers[0]
        assert held.kind == "gru" and session.quantized.in_float().kind == "gru"
    gates[2] = 200
    with Session(Model((Layer(gates, 0 * gates, 0 * gates[:, 0], kind="gru"),))) as session:
        session.run(np.array([[[-1.0], [1.0], [-1.0], [1.0]]]))
        assert session.report and session.report.saturated_c == (4,)
        assert session.report.notes[0].startswith("n_h or n_x saturates 4 times, by cells [4]:")


def test_an_engine_without_grus_names_one_with_them() -> None:
    model = pytorch_like(0, [3, 6], cell="gru")
    none = config.resized(TINY, gru=0, name="none")
    with pytest.raises(UsageError, match=r"none runs no GRU \(.* gru is 0\).* tiny would hold"):
        Session(model, none)


def test_a_warm_up_of_zeros_does_not_calibrate() -> None:
    with Session(MODEL, "tiny", stateful=True, compare=True) as session:
        with pytest.raises(UsageError, match="first input.* is 0 throughout.* typical inputs"):
            session.run(np.zeros_like(X))
        session.run(X)
        assert session.report and session.report.max_abs_error < 3e-3
        session.run(np.zeros_like(X))  # now that the scale is known
        assert not session.report.notes
        loud = X.copy()
        loud[0, 0] = 40
        with pytest.warns(UserWarning, match="x: 3 of 45 values .6.67%. are clipped"):
            session.run(loud)
        assert session.report.notes[0].startswith("x: 3 of 45 values (6.67%) are clipped")
        assert session.clipped == session.report.saturated_x == 3
        session.run(loud)  # which warns once


def test_integers_are_taken_as_quantised() -> None:
    with Session(MODEL, "tiny", calibration=X, stateful=True) as session:
        integers = session.quantized.quantize_input(X)
        wanted = session.run(X)
        session.reset()
        found = session.run(integers)
        assert found.dtype.kind == "i" and np.array_equal(
            session.quantized.dequantize_h(found), wanted
        )
        with pytest.raises(UsageError, match=f"goes on with {len(X)} sequences, 1 were given"):
            session.run(integers[:1])
    with (
        Session(MODEL, backend="float") as session,
        pytest.raises(UsageError, match="backend float takes no integers"),
    ):
        session.run(integers)


def test_a_head_sees_each_sequences_own_steps() -> None:
    h, lengths = np.random.default_rng(0).random((4, 6, 3)), [6, 2, 1, 5]
    mix = np.random.default_rng(1).random((3, 2))
    parts = [h[row : row + 1, :end] for row, end in enumerate(lengths)]
    for last in (lambda h: h[:, -1] @ mix, lambda h: h.mean(axis=1)):
        assert np.array_equal(
            head_by_length(last, h, lengths), np.concatenate(list(map(last, parts)))
        )
    running = head_by_length(lambda h: (h[:, ::-1].cumsum(axis=1) @ mix).swapaxes(0, 1), h, lengths)
    assert running.shape == (6, 4, 2)  # time first
    for row, part in enumerate(parts):
        wanted = part[0, ::-1].cumsum(axis=0) @ mix
        assert (
            np.allclose(running[: len(wanted), row], wanted)
            and not running[len(wanted) :, row].any()
        )
    assert np.array_equal(head_by_length(lambda h: h[:, -1], h, [6] * 4), h[:, -1])
    square = np.random.default_rng(2).random((5, 5, 3))  # its time is as long as its batch
    found = head_by_length(lambda h: h.swapaxes(0, 1), square, [5, 1, 5, 1, 5])
    for row, length in enumerate([5, 1, 5, 1, 5]):
        assert np.array_equal(found[:length, row], square[row, :length])
        assert not found[length:, row].any()
    for mixing in (lambda h: h.sum(axis=0), lambda h: h.reshape(-1, 3)):
        with pytest.raises(UsageError, match="for one sequence and .* for 4, not one for each"):
            head_by_length(mixing, h, lengths)


@pytest.mark.parametrize("backend", ["golden", "float"])
def test_no_engine_is_planned_before_its_figures_are_asked_for(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[object] = []
    plan = schedule.make_plan
    monkeypatch.setattr(deploy, "make_plan", lambda *a, **k: planned.append(a) or plan(*a, **k))
    with Session(MODEL, backend=backend) as session:
        session.run(X, return_state=True)
        assert session.ran and session.ran.steps == 15 and not planned
        assert session.report and session.report.config == "tiny" and planned
        assert session.report.predicted_cycles and session.cfg == TINY


def test_what_is_quantised_without_an_engine_fits_each() -> None:
    every = [config.load(name) for name in config.shipped()]
    assert {(cfg.max_shift, cfg.row_scales) for cfg in every} == {(DEFAULT_MAX_SHIFT, 1)}
    usual = [cfg for cfg in every if cfg.format == DEFAULT_FORMAT]
    assert {cfg.board for cfg in usual} == {cfg.board for cfg in every}
    assert {cfg.packed for cfg in usual} == {1}


@pytest.mark.parametrize("backend", ["golden", "float"])
def test_another_format_is_quantised_for_the_engine_that_would_be_chosen(backend: str) -> None:
    """A packed one takes no weight of -128, which others do."""
    model, x = pytorch_like(0, [12, 40]), np.resize(X, (2, 5, 12))
    with Session(
        model, resized(TINY, max_hidden=64), "golden", format="W8A8", calibration=x
    ) as other:
        assert min(layer.w_hh.min() for layer in other.quantized.layers) == -128
    with Session(model, None, backend, format="W8A8", calibration=x) as session:
        session.run(x)
        assert session.cfg and session.cfg.packed > 1 and session.report
        assert session.report.config == session.cfg.name and session.report.predicted_cycles
        assert min(layer.w_hh.min() for layer in session.quantized.layers) == -127


def answers(session: Session, *asked: object) -> list[object]:
    h, after = session.run(*asked, return_state=True)
    report = session.report
    assert report
    return [np.concatenate(h), *after, replace(report, seconds=0)]


@pytest.mark.parametrize(("backend", "engine"), [p for p in BACKENDS if p.values[1]])
@pytest.mark.parametrize("directions", [(1, 1), (2, 2)], ids=["whole", "level by level"])
def test_a_simulated_engine_is_kept(backend: str, engine: str, directions: tuple[int, ...]) -> None:
    """In one process, its weights too; whatever has run on it, it answers as a fresh one does."""
    told: list[tuple[int, int]] = []

    def make(backend: str = backend) -> Session:
        model = pytorch_like(0, [3, 6, 4], directions)
        return Session(
            model, TINY, backend, calibration=X, progress=lambda *done: told.append(done)
        )

    with make() as session, make("golden") as golden:
        state = session.run(X[:1, :2], return_state=True)[1]
        pid = session.runs.process.pid
        for asked in ((X,), (X[:1], state), ([X[0], X[1, :2]],), (X,)):
            told.clear()
            found, seen = answers(session, *asked), told.copy()
            assert session.runs.process.pid == pid
            told.clear()
            with make() as fresh:
                for kept, wanted in zip(found, answers(fresh, *asked)):
                    assert np.array_equal(kept, wanted)
                assert fresh.runs.process.pid != pid
            for kept, wanted in zip(found[:3], answers(golden, *asked)):
                assert np.array_equal(kept, wanted)
            assert seen == told and told[-1][0] == told[-1][1]


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.csim
def test_a_simulated_engine_that_ends_is_told_and_replaced() -> None:
    """Between two calls and within one; and no process is left of one that is interrupted."""
    in_call: list[Callable[[], object]] = []

    def tell(done: int, programs: int) -> None:
        if in_call and done < programs:
            in_call.pop()()

    with Session(MODEL, TINY, "csim", calibration=X, progress=tell) as session:
        several = [X[n % 3, : 1 + n % 5] for n in range(9)]
        wanted = np.concatenate(session.run(several))

        def kill() -> None:
            os.kill(session.runs.process.pid, signal.SIGKILL)

        for between, within, error, said in (
            (kill, None, EngineError, "csim stopped with status -9: it said nothing; run again"),
            (None, kill, EngineError, "csim stopped with status -9: it said nothing; run again"),
            (None, lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt, ""),
            (None, lambda: [].pop(), IndexError, "pop from empty list"),
        ):
            pid = session.runs.process.pid
            if between:
                between()
            in_call += [within] if within else []
            with pytest.raises(error) as raised:
                session.run(several)
            assert str(raised.value) == said
            assert ended(pid)
            assert np.array_equal(np.concatenate(session.run(several)), wanted)
        pid = session.runs.process.pid
        os.kill(pid, signal.SIGINT)  # as a terminal does, to all: it is not meant for the engine
        assert (
            np.array_equal(np.concatenate(session.run(several)), wanted)
            and session.runs.process.pid == pid
        )


@pytest.mark.csim
def test_a_simulated_engine_ends_with_its_session() -> None:
    session = Session(MODEL, TINY, "csim", calibration=X)
    wanted = session.run(X)
    pid = session.runs.process.pid
    child = os.fork()
    if not child:
        gc.disable()  # what other tests have left may wait for threads that a fork does not have
        right = np.array_equal(session.run(X), wanted) and session.runs.process.pid != pid
        session.close()
        os._exit(not right)
    assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor() as threads:
        for h in threads.map(session.run, [X] * 8):
            assert np.array_equal(h, wanted)
    assert session.runs.process.pid == pid
    session.close()
    assert ended(pid)
    session = Session(MODEL, TINY, "csim", calibration=X)
    session.run(X)
    pid = session.runs.process.pid
    del session
    gc.collect()
    assert ended(pid)


@pytest.mark.parametrize(("backend", "engine"), [p for p in BACKENDS if p.values[1]])
def test_more_steps_than_an_engine_counts(
    backend: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are run in pieces, each from the state that one has left: golden's bits, and cycles."""
    x = np.random.default_rng(1).uniform(-1, 1, (3, 8, 3))
    told = {"calibration": x, "compare": True}
    with Session(MODEL, TINY, **told) as golden, Session(MODEL, TINY, backend, **told) as session:
        _, state = golden.run(x, return_state=True)
        for before, lengths in ((None, None), (state, None), (None, [2, 8, 6])):
            whole = golden.run(x, before, True, lengths)
            monkeypatch.setattr(session_module, "MAX_STEPS", 3)
            h, after = session.run(x, before, True, lengths)
            report = session.report
            assert (h == whole[0]).all() and all(map(np.array_equal, after, whole[1]))
            assert (session.run(x, before, False, lengths) == h).all()
            assert report.programs == 3 and report.max_abs_error < 0.01
            assert report.cycles == (report.predicted_cycles if engine == "sv" else None)
            monkeypatch.undo()
            golden.run(x, before, True, lengths)
            assert golden.report.predicted_cycles < report.predicted_cycles
        monkeypatch.setattr(session_module, "MAX_STEPS", 3)
        both = Session(pytorch_like(0, [3, 4], (2,)), TINY, backend, beside=session)
        with pytest.raises(UsageError, match="a call of 8 steps is cut into pieces of 3, which"):
            both.run(x)


def test_pieces_of_reverse_layers_are_told_of() -> None:
    both = pytorch_like(0, [4, 6], (2,))
    x = np.random.default_rng(0).normal(size=(1, 8, 4))
    with Session(both, "tiny", calibration=x, stateful=True) as session:
        session.run(x[:, :5])
        assert session.report is not None and CUT_REVERSE not in session.report.notes
        session.run(x[:, 5:])
        assert CUT_REVERSE in session.report.notes
