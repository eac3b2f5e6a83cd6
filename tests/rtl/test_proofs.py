"""The proofs of the RTL's units: each holds, and its broken variants break the right assertion."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from workshop import prove

pytestmark = [pytest.mark.rtl, pytest.mark.sv]

TINY = config.load("tiny")
UNITS = {unit.name: unit for unit in prove.UNITS}
BROKEN = [  # unit, text, what takes its place, an assertion that falls, within so many cycles
    ("axil", "default: if (s_axi_control_BREADY) write_q", "default: write_q", "b_is_stable", 8),
    ("axil", "else if (read_q == ReadTake) rdata_q", "else rdata_q", "r_is_stable", 12),
    ("axil", "else if (ap_done) start_q <=", "else start_q <=", "start_is_kept", 10),
    (
        "axil",
        "ReadWindow: if (!copying) read_q",
        "ReadWindow: if (copying) read_q",
        "read_begins",
        10,
    ),
    ("run", "run_q == Drain && drain_q == 0 &&", "run_q == Drain &&", "ends_empty", 14),
    ("run", "Prepare: if (program_ready) run_q", "Prepare: run_q", "stage_agrees", 10),
    ("loader", "beat_q == item_beats - 1'b1", "beat_q == item_beats", "places", 14),
    ("loader", "addr_q <= addr_q + 1'b1", "addr_q <= addr_q", "places", 14),
    ("loader", "item_q[ItemBeatsMax-1:1]}", "item_q[ItemBeatsMax-2:0]}", "beat_moves_on", 14),
    ("x_ring", "next_q + RingBits'(pull)", "next_q", "places_agree", 8),
    ("x_ring", "more_q && !ring.level[RingBits]", "more_q", "takes_where_there_is_room", 20),
    ("x_ring", "mem[tail_q] <=", "mem[next_q] <=", "word_stands", 10),
    ("h_stream", "(!h_out.valid || ready)", "1'b1", "port_is_stable", 10),
    ("h_stream", "else if (ready) h_out.valid", "else h_out.valid", "port_is_stable", 10),
    ("h_stream", "beat_q[g] <= '0", "beat_q[g] <= elements", "group_in_its_place", 8),
    ("h_stream", "if (pop) read_q <=", "if (ready) read_q <=", "level_in_bounds", 8),
    ("credits", "give || partial_q", "give", "balance", 8),
    ("credits", "CreditBits'(3 * MostBeats)", "CreditBits'(MostBeats)", "no_underflow", 20),
    ("credits", "emits && ends_vector && rest", "emits && ends_vector", "balance", 8),
    ("state_giver", "busy_q && room", "busy_q", "asks_where_there_is_room", 10),
    ("state_giver", "left_q == 16'd1", "left_q == 16'd2", "counts", 12),
    ("program", "fine_q && end_q <= most_q", "fine_q", "bounds_tell", 10),
    ("program", "line_q == last_line_q", "line_q + 1'b1 == last_line_q", "copied_all", 10),
    ("program", "instr.rows != 0 && ", "", "sums_tell", 10),
    ("fetch", "!= 0 && !last_pass_q", "!= 0", "rank_falls", 16),
    ("fetch", "read_q && (!valid || take)", "read_q", "offer_stands", 10),
    ("dispatcher", "rows_left_q == RowBits'(2)", "rows_left_q == RowBits'(3)", "row_agrees", 10),
    (
        "dispatcher",
        "slots_left_q == ColumnBits'(2)",
        "slots_left_q == ColumnBits'(1)",
        "slot_agrees",
        10,
    ),
    ("dispatcher", "if (tile_q && !wait_here) weight_q", "if (tile_q) weight_q", "tile_agrees", 10),
    (
        "dispatcher",
        "valid: rst_n && tile_q && !wait_here",
        "valid: rst_n && tile_q",
        "tile_is_issued",
        10,
    ),
]


FIRST = {name: case for case in reversed(BROKEN) for name in case[:1]}
"""Of each unit the variant that is tried beside the unit itself; the others are slow together."""


@pytest.mark.parametrize("name", UNITS)
def test_holds_and_a_broken_one_does_not(name: str, tmp_path: Path) -> None:
    unit = UNITS[name]
    prove.prepare(TINY, unit, tmp_path)
    verdict = prove.check(tmp_path, "base" if name == "credits" else "step", unit.depth)
    assert verdict.holds, verdict.fallen
    test_broken(*FIRST[name], tmp_path / "broken")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "instead", "falls", "depth"),
    [case for case in BROKEN if case not in FIRST.values()],
)
def test_broken(name: str, text: str, instead: str, falls: str, depth: int, tmp_path: Path) -> None:
    prove.prepare(TINY, UNITS[name], tmp_path, [(text, instead)], small=True)
    verdict = prove.check(tmp_path, "base", depth)
    assert not verdict.holds and falls in verdict.fallen, verdict
    assert verdict.trace.stat().st_size > 0


def test_a_variant_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loader.sv has no 'nothing of it'"):
        prove.prepare(TINY, UNITS["loader"], tmp_path, [("nothing of it", "")])
