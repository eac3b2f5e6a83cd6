"""Engine configs: what is derived, and what is refused with both numbers and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError

TINY = config.load("tiny")


def test_shipped_configs_load_smallest_first() -> None:
    assert config.shipped() == ["tiny", "pynq-z2", "zcu104"]
    z2 = config.load("pynq-z2")
    assert (z2.rows, z2.columns, z2.macs, z2.format) == (8, 26, 208, "W8A16")
    assert z2.tail == 24
    assert sum(stage.cycles for stage in z2.stages) == z2.tail


def test_accumulator_holds_the_worst_case_and_no_more() -> None:
    for name in config.shipped():
        cfg = config.load(name)
        product = (1 << (cfg.fmt.weight_bits - 1)) * (1 << (cfg.fmt.activation_bits - 1))
        bias = 1 << (cfg.fmt.bias_bits - 1)
        worst = ((cfg.max_input * product + bias) << cfg.max_shift) + cfg.max_hidden * product
        assert -(1 << (cfg.acc_bits - 1)) <= -worst
        assert worst > 1 << (cfg.acc_bits - 2)


def test_identity_follows_every_knob() -> None:
    seen = {TINY.identity, TINY.with_format("W8A8").identity}
    seen |= {
        config.resized(TINY, **{knob: getattr(TINY, knob) + 1}).identity
        for knob in ("max_input", "max_hidden", "weight_tiles", "bias_blocks", "clock_mhz")
    }
    assert len(seen) == 7
    assert TINY.with_format("W8A16") is TINY


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 12}, "rows = 12 must be 4, 8, 16"),
        ({"rows": 16, "columns": 6}, "rows / 4 = 4 must divide columns = 6.*columns = 8 would do"),
        ({"lanes": 3}, "lanes = 3 must divide"),
        ({"rows": 64, "columns": 16, "lanes": 16}, "lanes = 16 make more h than a beat of 4"),
        ({"k_list": 8}, "k_list = 8 must be a list of whole numbers"),
        ({"k_list": [8, "16"]}, "must be a list of whole numbers"),
        ({"k_list": [16, 32]}, "k_list begins with 16 and rows is 8"),
        ({"k_list": [8, 24]}, "k_list has 24 after 8; take 8 times 2, 4, 8"),
        ({"k_list": [8, 32, 16]}, "k_list has 16 after 32"),
        ({"k_list": [8, 16, 64]}, "K = 64 would make N = columns / 8 of columns = 4"),
        ({"k_list": [8, 16], "columns": 6}, "K / 4 = 4 must divide columns = 6"),
        ({"k_list": [8, 16], "gate_blocks": 1}, "gate_blocks and k_list do not go together"),
        ({"board": "pynq-z2", "gate_blocks": 1}, "gate_blocks is for simulations"),
        ({"columns": 0}, "columns = 0 must be a whole number 1 to 1024"),
        ({"columns": "4"}, "columns = '4' must be a whole number"),
        ({"columns": True}, "columns = True must be a whole number"),
        ({"stream_bits": 96}, "stream_bits = 96 must be a power of two"),
        ({"stream_bits": 32}, "stream_bits = 32 must hold a state of 64 bits"),
        ({"format": "W4A4"}, "format 'W4A4' is unknown; choose one of W16A16"),
        ({"format": 8}, "format = 8 must be a text"),
        ({"colums": 4}, "unknown key 'colums'; the keys are"),
        ({"name": "../x"}, "name = '../x' must be letters"),
    ],
)
def test_impossible_configs(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**TINY.knobs(), **change}))
    with pytest.raises(UsageError, match=said):
        config.load(str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not a readable JSON config"), ("[]", "one JSON object"), ("{}", "missing key 'name'")],
)
def test_broken_config_files(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        config.load(str(path))


def test_unknown_config_lists_the_shipped() -> None:
    with pytest.raises(UsageError, match="'z3' not found; shipped are tiny, pynq-z2"):
        config.load("z3")
