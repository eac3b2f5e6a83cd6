"""Memories by Vivado's rule: what they take, how the kernel cuts them, what a board has of them."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import pytest

from lstm_sharp import paths
from lstm_sharp.engine import config, storage
from lstm_sharp.engine.boards import board
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.formats import USUAL


@pytest.mark.parametrize(
    ("depth", "bits", "bram36"),
    [
        (512, 72, 1),
        (513, 72, 2),  # 1,024 deep
        (2048, 64, 4),  # 18 bits each
        (2560, 64, 8),  # 4,096 deep: 26 columns of it were 208, more than an XC7Z020 has
        (4096, 9, 1),
        (4097, 9, 2),
        (9000, 9, 4),  # 16,384 deep
        (512, 36, 0.5),
    ],
)
def test_bram_is_as_deep_as_the_next_power_of_two(depth: int, bits: int, bram36: float) -> None:
    assert storage.bram_memory("memory", depth, bits).bram36 == bram36


@pytest.mark.parametrize(
    ("depth", "bits", "luts"), [(32, 6, 4), (33, 6, 8), (64, 3, 4), (512, 31, 352), (128, 16, 48)]
)
def test_a_memory_in_luts_has_four_for_three_bits_of_64_words(
    depth: int, bits: int, luts: int
) -> None:
    assert storage._lutram("memory", depth, bits).lutram == luts


@pytest.mark.parametrize("tiles", [2, 3, 1000, 1024, 2560, 3000, 4095, 4096, 9000])
def test_two_memories_hold_all_tiles(tiles: int) -> None:
    """A tile's place in either is some of its address's bits."""
    cfg = config.resized(config.load("tiny"), weight_tiles=tiles)
    kernel = storage.KernelStorage.of(cfg)
    assert all(depth & (depth - 1) == 0 for depth in astuple(kernel)[:1] + astuple(kernel)[5:])
    assert kernel.bank_tiles <= tiles < 2 * kernel.bank_tiles
    assert kernel.rest_tiles == tiles - kernel.bank_tiles <= kernel.rest_depth < 2 * tiles
    assert kernel.rest_depth & (kernel.rest_depth - 1) == 0


@pytest.mark.parametrize(
    ("name", "fmt"),
    [(name, fmt) for name in config.shipped() for fmt in USUAL if config.load(name).takes(fmt)],
)
def test_strips_are_as_wide_as_a_word_may_be(name: str, fmt: str) -> None:
    cfg = config.load(name).with_format(fmt)
    column = cfg.rows * cfg.fmt.weight_bits
    in_bram = cfg.columns - cfg.uram_columns
    for strip, columns in (
        (storage.KernelStorage.of(cfg).bram_word, in_bram),
        (storage.KernelStorage.of(cfg).uram_word, cfg.uram_columns),
    ):
        assert columns % strip == 0 and strip * column <= 1024
        wider = [n for n in range(strip + 1, columns + 1) if columns % n == 0]
        assert all(n * column > 1024 for n in wider)


@pytest.mark.parametrize("name", config.shipped())
def test_shipped_configs_leave_their_board_what_it_needs(name: str) -> None:
    made = board(config.load(name).board)
    taken = storage.most(config.load(name))
    assert taken["lutram"] > 0 and taken["bram36"] > 0
    assert made is None or all(taken[kind] <= made.free(kind) for kind in taken)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("pynq-z2", {"weight_tiles": 3072}, r"takes 188 BRAM36, the PYNQ-Z2 has 132 for it"),
        (
            "pynq-z2",
            {"bias_blocks": 4096},
            r"takes [\d.]+ (?:BRAM36|LUTRAM), the PYNQ-Z2 has (?:132|14400) for it",
        ),
        ("zcu104", {"weight_tiles": 8192}, r"takes \d+(\.5)? BRAM36, the ZCU104 has 296 for it"),
    ],
)
def test_a_config_that_its_board_cannot_hold_is_refused(
    name: str, changes: dict[str, int], says: str, tmp_path: Path
) -> None:
    knobs = json.loads((paths.configs() / f"{name}.json").read_text())
    (tmp_path / "large.json").write_text(json.dumps({**knobs, **changes}))
    with pytest.raises(UsageError, match=says + r"; \w+ = \d+ works$"):
        config.load(str(tmp_path / "large.json"))
    (tmp_path / "large.json").write_text(json.dumps({**knobs, **changes, "board": "none"}))
    assert config.load(str(tmp_path / "large.json")).weight_tiles
