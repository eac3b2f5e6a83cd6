"""Engine configs: what is derived, and what is refused with both numbers and the remedy."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.boards import boards
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import csim, verilate
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.vendor import vitis

TINY = config.load("tiny")


def test_shipped_configs_load_smallest_first() -> None:
    names = ["tiny", "pynq-z2", "ultra96-v2", "kv260", "zcu104"]
    twice = ("pynq-z2", "kv260", "zcu104")
    more = [f"{name}-{kind}" for name in twice for kind in ("fast", "small")]
    assert sorted(config.shipped()) == sorted([*names, *more])
    assert [cfg.name for cfg in config.for_format(None)] == names
    z2 = config.load("pynq-z2")
    assert (z2.rows, z2.columns, z2.macs, z2.dsps, z2.format) == (16, 16, 256, 208, "W8A16")
    assert z2.tail == 26 and config.resized(z2, row_scales=0).tail == 24
    assert sum(stage.cycles for stage in z2.stages) == z2.tail


def test_accumulator_holds_the_worst_case_and_no_more() -> None:
    for name in config.shipped():
        cfg = config.load(name)
        weight = (1 << (cfg.fmt.weight_bits - 1)) - (cfg.packed > 1)
        product = weight * (1 << (cfg.fmt.activation_bits - 1))
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


@pytest.mark.parametrize(
    ("name", "fmt"),
    [(name, fmt) for name in config.shipped() for fmt in USUAL if config.load(name).takes(fmt)],
)
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
        ({"rows": 12, "columns": 16}, "; rows = 16, columns = 12 works$"),
        ({"rows": 16, "columns": 6}, "rows / 4 = 4 must divide columns = 6.*; columns = 8 works$"),
        ({"lanes": 3}, "lanes = 3 must divide.*; lanes = 2 works$"),
        ({"rows": 64, "columns": 16, "lanes": 16}, "lanes = 16 make more h than a beat of 4"),
        ({"k_list": 8}, "k_list = 8 must be a list of whole numbers"),
        ({"k_list": [8, "16"]}, "must be a list of whole numbers"),
        ({"k_list": [16, 32]}, "k_list begins with 16 .*; k_list = \\[8, 16, 32\\] works$"),
        ({"k_list": [0, 8]}, "k_list begins with 0"),
        ({"k_list": [8, 24]}, "k_list has 24 after 8; each is 8 times 2, 4, 8"),
        ({"k_list": [8, 32, 16]}, "k_list has 16 after 32"),
        ({"k_list": [8, 16, 64]}, "K = 64 would make N = columns / 8 of columns = 4"),
        ({"k_list": [8, 16], "columns": 6}, "K / 4 = 4 must divide columns = 6.*; columns = 8 wo"),
        ({"columns": 0}, "columns = 0 must be a whole number 1 to 1024"),
        ({"columns": "4"}, "columns = '4' must be a whole number"),
        ({"columns": True}, "columns = True must be a whole number"),
        ({"stream_bits": 96}, "stream_bits = 96 must be a power of two"),
        ({"stream_bits": 32}, "stream_bits = 32 must hold a state of 64 bits"),
        ({"format": "W4A1"}, "format .W4A1. is unknown; choose one of W2 to W16 with A2 to A16"),
        ({"format": 8}, "format = 8 must be a text"),
        ({"format": "W4A4,W17A4"}, "format .W17A4. is unknown"),
        ({"packed": 2}, "packed = 2 takes an operand of 31 bits at W8A16, .*; packed = 1 works$"),
        ({"packed": 3}, "packed = 3 must be 1, 2, 4 or 8.* rows = 8; packed = 1 works$"),
        ({"packed": 8, "rows": 4, "format": "W2A2"}, "not over rows = 4; packed = 4 works$"),
        ({"lut_columns": 5}, "lut_columns = 5 must be 0 to columns = 4; lut_columns = 4 works$"),
        ({"colums": 4}, "unknown key 'colums'; the keys are"),
        ({"name": "../x"}, "name = '../x' must be letters"),
    ],
)
def test_impossible_configs(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**TINY.knobs(), **change}))
    with pytest.raises(UsageError, match=said):
        config.load(str(path))


def _advised(path: Path) -> str:
    """Do what a refusal says would work; return what was wrong, nothing if it is a config."""
    try:
        config.load(str(path))
    except UsageError as error:
        knobs, said = json.loads(path.read_text()), str(error)
        told = re.findall(
            r"(\w+) = (\[.*?\]|[^,]+)", said[said.rindex(";") :].removesuffix(" works")
        )
        assert said.endswith(" works") and told and len(said) < 300
        texts = ("name", "board", "format")
        knobs |= {name: v if name in texts else json.loads(v) for name, v in told}
        path.write_text(json.dumps(knobs))
        return said
    return ""


def test_what_a_refusal_advises_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng, path, refused = np.random.default_rng(0), Path("c.json"), set()
    for _ in range(50):
        knobs = {**TINY.knobs(), "board": str(rng.choice(["none", *boards()]))}
        for name in rng.choice([*config.LIMITS], 4, replace=False):
            least, most = config.LIMITS[name]
            low, high = np.log2([max(1, least / 2), most * 2])
            knobs[name] = int(2 ** rng.uniform(low, high)) - (rng.random() < 0.1)
        if rng.random() < 0.5:
            k = rng.choice([-8, 0, 4, 8, 12, 16, 32, 64, 128], rng.integers(1, 5))
            knobs["k_list"] = [int(knobs["rows"]), *map(int, k)][int(rng.random() < 0.3) :]
        path.write_text(json.dumps(knobs))
        if first := _advised(path):
            refused.add(re.sub(r"[^a-zA-Z]+", " ", first.partition(":")[2])[:18])
            if _advised(path):  # a config that is possible may still be too large for its board
                assert "the engine takes" not in first and not _advised(path)
    assert len(refused) > 10


@pytest.mark.parametrize(
    ("base", "change", "said"),
    [
        ("pynq-z2", {"columns": 28}, "takes 400 DSP, the PYNQ-Z2 has 220 for it; rows = 8 works"),
        ("pynq-z2", {"weight_tiles": 3072}, "takes 188 BRAM36.*; weight_tiles = 2048 works"),
        ("zcu104", {"weight_tiles": 8192}, "BRAM36, the ZCU104 has 296 .*; weight_tiles = 4096 w"),
        ("zcu104", {"board": "pynq-z2"}, "takes 1088 DSP, .*uram_columns = 0"),
        ("kv260", {"columns": 40}, "takes 159.5 BRAM36, the KV260 has 128 .*; weight_tiles = 2048"),
        (
            "pynq-z2",
            dict.fromkeys(("weight_tiles", "bias_blocks"), 65536),
            "; weight_tiles = 2048, b",
        ),
    ],
)
def test_what_fits_a_board_is_advised(
    tmp_path: Path, base: str, change: dict[str, object], said: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**config.load(base).knobs(), **change}))
    assert re.search(said, _advised(path))
    assert not _advised(path)


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
