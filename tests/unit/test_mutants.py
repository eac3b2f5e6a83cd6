"""The mutation tool: what it changes, and that it tells what tests notice from what none can."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from lstm_sharp.errors import ToolError
from workshop import mutants
from workshop.mutants import KILLED, NO_CODE, ROOMS, ROOT, SURVIVED, Mutant, Room, Tree
from workshop.mutations import Mutation, mutations

PYTHON = """
def f(a: int = 7) -> list[1]:
    # a < 1
    if not a and f"{a + 1}":
        raise ValueError(a)
    g.x = -a is b
    return a <= (
        b) // 2.5
"""
SV = """
module m import p::*; (input logic [3:0] a);  // a + b
  (* keep = 1 *) logic [7:0] b_q;
  always_ff @(posedge clk) if (go) b_q <= a <= 4'd9 ? '0 : b_q >>> (1 + n);
  assign c = !go && a == b;
  assert property (a == b);
endmodule
"""
CPP = """
#pragma HLS UNROLL factor=4
static_assert(a < b, "a < b");
template <int kRows> Int<kRows> f(Int<kRows> &x) {
  if (waits_) ++slots_;
  UInt<6> wide;
  row.next[n] = true ? x : x - y;  // a + b
}
"""


def changes(name: str, text: str) -> set[str]:
    """Write changes as kind: old -> new."""
    return {
        f"{m.kind}: {text[m.start : m.end]} -> {m.new or 'nothing'}"
        for m in mutations(Path(name), text)
    }


def test_python_is_changed_by_its_syntax() -> None:
    assert changes("f.py", PYTHON) == {
        *("constant: 7 -> 6", "constant: 7 -> 8", "negation: not -> nothing", "logic: and -> or"),
        *("statement: raise ValueError(a) -> pass", "statement: g.x = -a is b -> pass"),
        *("negation: - -> nothing", "comparison: is -> is not", "comparison: <= -> <"),
        *("arithmetic: // -> *", "constant: 2.5 -> 3.5"),
    }


def test_systemverilog_is_changed_by_tokens() -> None:
    assert changes("f.sv", SV) == {
        "statement: b_q <= a <= 4'd9 ? '0 : b_q >>> (1 + n) -> nothing",
        *("comparison: <= -> <", "constant: 9 -> 8", "constant: 9 -> 10", "constant: 0 -> 1"),
        *("bits: >>> -> >>", "constant: 1 -> 0", "constant: 1 -> 2", "arithmetic: + -> -"),
        *("negation: ! -> nothing", "logic: && -> ||", "comparison: == -> !="),
        "condition: go -> !go",
    }


def test_cpp_is_changed_by_tokens() -> None:
    assert changes("f.hpp", CPP) == {
        *("condition: waits_ -> !waits_", "statement: ++slots_ -> nothing", "arithmetic: ++ -> --"),
        "statement: row.next[n] = true ? x : x - y -> nothing",
        *("constant: true -> false", "arithmetic: - -> +"),
    }


@pytest.mark.parametrize("name", ROOMS)
def test_a_seed_draws_the_same_and_all_is_python(name: str) -> None:
    first, again = ([*islice(mutants.drawn(name, ROOMS[name], 3), 60)] for _ in range(2))
    assert [m.entry for m in first] == [m.entry for m in again]
    assert len({m.mutation.kind for m in first}) >= 6
    for mutant in first:
        if mutant.path.endswith(".py"):
            compile(mutant.mutation.applied(mutant.text), mutant.path, "exec")


def of(path: str, old: str, new: str) -> Mutant:
    text = (ROOT / path).read_text(encoding="utf-8")
    start = text.index(old)
    return Mutant("golden", path, Mutation("", start, start + len(old), new), text)


def test_what_tests_notice_is_killed_and_nothing_else(tmp_path: Path) -> None:
    pieces = "tests/unit/test_golden.py::test_products_in_pieces_are_whole"
    room, tree = Room((), (pieces, "tests/unit/test_program.py")), Tree(tmp_path / "tree")
    (tmp_path / "built").mkdir()
    golden = "host/lstm_sharp/numerics/products.py"
    program = "host/lstm_sharp/engine/program.py"
    tried = {
        of(golden, "first + _COLUMNS", "first - _COLUMNS"): KILLED,
        of(program, "MAX_INSTRUCTIONS = 127", "MAX_INSTRUCTIONS = 128"): KILLED,
        of(program, "MAX_INSTRUCTIONS = 127", "MAX_INSTRUCTIONS = 126 + 1"): SURVIVED,
    }
    for mutant, verdict in tried.items():
        assert tree.try_(mutant, room, 60).verdict == verdict, mutant.entry
        assert (tree.folder / mutant.path).read_text(encoding="utf-8") == mutant.text


def test_what_is_no_test_is_not_survived(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="ran no tests, tests/unit/test_nothing.py: .* not found"):
        Tree(tmp_path / "tree").tests(["tests/unit/test_nothing.py"])


def test_every_reason_is_of_a_line_that_there_is() -> None:
    for key in mutants.reasons():
        path, change = key.split(": ", 1)
        assert change.split(" -> ")[0] in " ".join((ROOT / path).read_text().split()), key


def test_survivors_count_with_a_reason_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "reasons", lambda: {"a.sv: x -> y": "the same"})
    entry = {"room": "rtl", "file": "a.sv", "line": 1, "change": "x -> y", "by": "", "seconds": 1.0}
    seen = [
        *({**entry, "verdict": verdict} for verdict in (KILLED, KILLED, SURVIVED, NO_CODE)),
        {**entry, "verdict": SURVIVED, "change": "x -> z"},
        {**entry, "verdict": KILLED, "room": "driver"},
    ]
    _, rtl, driver, all_ = mutants.table(seen)
    assert rtl == ["rtl", "4", "2", "2", "1", "50.0%", "66.7%", "1"]
    assert driver == ["driver", "1", "1", "0", "0", "100.0%", "100.0%", "0"]
    assert all_ == ["all", "5", "3", "2", "1", "60.0%", "75.0%", "1"]
