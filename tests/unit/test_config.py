"""Engine configs: what is derived, and what is refused with both numbers and the remedy."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import csim, verilate
from lstm_sharp.numerics.formats import SUPPORTED
from lstm_sharp.vendor import vitis

TINY = config.load("tiny")


def test_shipped_configs_load_smallest_first() -> None:
    assert config.shipped() == ["tiny", "pynq-z2", "zcu104"]
    z2 = config.load("pynq-z2")
    assert (z2.rows, z2.columns, z2.macs, z2.format) == (8, 26, 208, "W8A16")
    assert z2.tail == 26 and config.resized(z2, row_scales=0).tail == 24
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


def test_a_config_without_newer_knobs_is_the_engine_that_it_was() -> None:
    cfg = config.resized(TINY, row_scales=0, min_tail=42, gru=0)
    assert (cfg.digest, cfg.of("hls").digest) == ("c05ab192", "8ccb9e62")


@pytest.mark.parametrize("name", config.shipped())
@pytest.mark.parametrize("fmt", SUPPORTED)
def test_each_engine_has_its_distance_and_identity(name: str, fmt: str) -> None:
    sv = config.load(name).with_format(fmt)
    hls, own = sv.of("hls"), sum(stage.cycles for stage in sv.stages)
    assert (sv.engine, sv.tail) == ("sv", own) and sv.of("sv") is sv
    assert (hls.engine, hls.tail) == ("hls", sv.min_tail) and sv.min_tail > own
    assert hls.of("sv") == sv and hls.identity != sv.identity
    deeper = config.resized(sv, min_tail=sv.min_tail + 1)
    assert (deeper.tail, deeper.identity) == (sv.tail, sv.identity)
    assert deeper.of("hls").tail == hls.tail + 1
    assert deeper.of("hls").identity != hls.identity
    least = config.resized(hls, min_tail=0)
    assert (least.engine, least.tail, least.min_tail) == ("hls", own, 0)
    assert least.of("sv").identity == sv.identity != least.identity
    assert hls.with_format("W8A8").engine == "hls"
    assert replace(hls, given_tail=9).tail == replace(sv, given_tail=9).tail == 9


def test_a_config_for_the_other_engine_is_refused(tmp_path: Path) -> None:
    """What it would be built with has another D and another identity."""
    hls, synthesise = TINY.of("hls"), partial(vitis.run, model=vitis.small_model())
    for_sv, for_hls = f"tiny ({TINY.digest}) is for sv", f"tiny ({hls.digest}) is for hls"
    for build, cfg, said in (
        (
            csim.build,
            TINY,
            f"csim takes a config for the hls engine, {for_sv}; give it cfg.of(",
        ),
        (synthesise, TINY, f"the kernel takes a config for the hls engine, {for_sv}"),
        (verilate.build, hls, f"the RTL takes a config for the sv engine, {for_hls}"),
        (verilate.library, hls, f"the virtual board takes a config for the sv engine, {for_hls}"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            build(cfg, build_dir=tmp_path)
    assert not any(tmp_path.iterdir())


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
    [
        ("{", "is not JSON that can be read"),
        ("[]", "one JSON object"),
        ("{}", "missing key 'bias_blocks'"),
    ],
)
def test_broken_config_files(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        config.load(str(path))
