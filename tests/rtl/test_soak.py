"""The soak itself: it goes on where it ended, and a golden model or an engine that errs ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cases
import soak
from cases import ENGINES
from lstm_sharp import files
from lstm_sharp.numerics import golden
from lstm_sharp.runtime import engines

pytestmark = [pytest.mark.rtl, pytest.mark.csim, pytest.mark.sv]


@pytest.fixture(autouse=True)
def few(with_engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soak ``tiny`` alone, in a folder of its own, until four more cases have been played."""
    monkeypatch.setattr(soak, "engine_of", lambda _: ENGINES["tiny"])
    monkeypatch.setattr(soak, "STATE", with_engines / "soak.json")
    monkeypatch.setattr(soak, "on_board", lambda _: None)
    kept: Callable[..., None] = soak._keep

    def keep(totals: soak.Totals) -> None:
        kept(totals)
        if totals.next % 4 == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(soak, "_keep", keep)


def test_a_run_goes_on_where_the_last_one_ended(capsys: pytest.CaptureFixture[str]) -> None:
    for played in (4, 8):
        assert soak.main([]) == 0
        kept = files.read_json(soak.STATE)
        assert kept["next"] == played and kept["stalled"] == played // 4
        told = capsys.readouterr()
        assert f"{played} cases alike" in told.out and "goes on from here" in told.err
    assert soak.main(["--fresh"]) == 0
    assert "4 cases alike" in capsys.readouterr().out


def wrong_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    right = golden.run

    def run(*arguments: Any) -> tuple[Any, Any]:
        h, after = right(*arguments)
        return h, golden.State(after.h, after.c + 1)

    monkeypatch.setattr(golden, "run", run)


def wrong_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    right = engines.play

    def play(*arguments: Any, **options: Any) -> list[Any]:
        *results, last = right(*arguments, **options)
        return [*results, replace(last, h_bytes=last.h_bytes ^ 1)]

    monkeypatch.setattr(engines, "play", play)


def wrong_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cases.cycles.predict

    def predict(*arguments: Any) -> Any:
        found = right(*arguments)
        return found._replace(cycles=found.cycles + 1)

    monkeypatch.setattr(cases.cycles, "predict", predict)


@pytest.mark.parametrize("breaks", [wrong_golden, wrong_bits, wrong_cycles])
def test_the_first_case_that_differs_ends_it(
    breaks: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    breaks(monkeypatch)
    assert soak.main([]) == 1
    number = int(capsys.readouterr().err.split("SEED=")[1])
    assert number < 4
    assert soak.main(["--seed", str(number)]) == 1
    assert f"case {number} differs: AssertionError: rtl, " in capsys.readouterr().err
    monkeypatch.undo()


def test_the_virtual_board_is_held_against_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pynq")
    case = cases.draw(ENGINES["tiny"], 5, give=True)
    monkeypatch.undo()
    soak.on_board(case)
    case.h[0][:] += 1
    with pytest.raises(AssertionError, match="board differs: seed 5"):
        soak.on_board(case)
