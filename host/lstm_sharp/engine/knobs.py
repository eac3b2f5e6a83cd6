"""Engine config: the knobs of a config file, and everything that follows from them.

This module is the only place where widths, depths, latencies and the config's identity are
worked out; templates and the cycle model take them from here by name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from math import ceil, gcd, log2
from typing import Annotated, Any, get_type_hints

from lstm_sharp.engine.pipeline import Stage, tail_stages
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.engine.tile import TileShape, levels
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.activation import Z_FRAC
from lstm_sharp.numerics.formats import USUAL, Format

BRAM18 = {512: 36, 1024: 18, 2048: 9}
"""Bits of a word that half a BRAM36 holds at each depth."""
BRAM36_DEEPEST = 4096
"""Words of 9 bits in a BRAM36; deeper memories are cut there."""
URAM_DEPTH, URAM_BITS = 4096, 72
"""Words of one UltraRAM, and their bits."""
DSP_BITS = 25
"""Width of a DSP's wide operand: of a DSP48E1; a DSP48E2 has two bits more."""

INTERFACE_VERSION = 2
"""Version of program format, streams and register map; part of the identity."""


@dataclass(frozen=True)
class Knobs:
    """What a config file says: of each number its least and its most, of each what it is."""

    name: Annotated[str, "names build folder, reports and JSON"]
    board: Annotated[str, "a board's name, or none"]
    format: Annotated[str, "default number format: bits of weights and of activations"]
    rows: Annotated[int, 4, 1024, "K: rows of a tile, a quarter of them for each gate"]
    columns: Annotated[int, 1, 1024, "N: columns of a tile, one VS unit each"]
    lanes: Annotated[int, 1, 256, "neurons that the MFU starts in one cycle"]
    uram_columns: Annotated[
        int, 0, 1024, "columns of a tile whose weights lie in UltraRAM, the others' in BRAM"
    ]
    chains: Annotated[
        int, 1, 64, "sequences, or directions, of the largest layer that run side by side"
    ]
    max_input: Annotated[int, 1, 4096, "largest X"]
    max_hidden: Annotated[int, 1, 4096, "largest H"]
    weight_tiles: Annotated[int, 2, 65536, "tiles of weights that are held"]
    bias_blocks: Annotated[
        int, 1, 65536, "bands of biases that are held: K rows each, of all resident layers"
    ]
    sequence_words: Annotated[
        int, 2, 65536, "room for h between stacked layers, in words of N elements"
    ]
    max_shift: Annotated[int, 0, 15, "how far x and h products may lie apart, in bits"]
    stream_bits: Annotated[int, 32, 1024, "width of a beat of the AXI4-Streams"]
    clock_mhz: Annotated[int, 1, 1000, "clock aimed at; times are only estimates from it"]
    min_tail: Annotated[
        int, 0, 4096, "least D of the hls engine, whose pipeline the tool makes deeper"
    ] = 0
    row_scales: Annotated[int, 0, 1, "1: weights have a scale a gate row, and c one a layer"] = 0
    gru: Annotated[int, 0, 1, "1: runs GRUs as well"] = 0
    packed: Annotated[
        int, 1, 8, "products that a DSP makes a cycle: rows whose weights lie in its operand"
    ] = 1
    lut_columns: Annotated[
        int, 0, 1024, "columns of a tile whose products are made by LUTs, the others' by DSPs"
    ] = 0
    k_list: Annotated[
        tuple[int, ...], "all K's that a tile can have at run time, the first being rows"
    ] = ()


_DECLARED: dict[str, tuple[Any, ...]] = {
    name: hint.__metadata__ for name, hint in get_type_hints(Knobs, include_extras=True).items()
}
LIMITS: dict[str, tuple[int, int]] = {n: told[:2] for n, told in _DECLARED.items() if told[1:]}
"""Least and most of each knob that is a number."""
MEANINGS: dict[str, str] = {name: told[-1] for name, told in _DECLARED.items()}
"""What each knob is."""
_DEFAULTS: dict[str, Any] = {f.name: f.default for f in fields(Knobs) if f.default is not MISSING}


@dataclass(frozen=True)
class Config(Knobs):
    """Knobs plus everything derived from them, for one of the two engines that they make.

    Make it with ``load`` or ``from_knobs``, which give the sv engine's, and ``of``.
    """

    engine: str = "sv"  # of ENGINE_VLNVS; D and the identity are its own, all else is shared
    given_tail: int | None = None  # a what-if for the cycle model, never for hardware

    @cached_property
    def fmt(self) -> Format:
        """Number format."""
        return Format.parse(self.format)

    @cached_property
    def tile_shapes(self) -> tuple[TileShape, ...]:
        """Shapes of a tile, smallest K first; an instruction names one by its number."""
        gangs = [k // self.rows for k in self.k_list or (self.rows,)]
        return tuple(
            TileShape(
                g, self.rows * g, self.columns // g, self.block * g, self.passes * g, gangs[-1] // g
            )
            for g in gangs
        )

    @property
    def bands(self) -> int:
        """G: bands of K0 rows that the largest tile covers, and segments of a word."""
        return self.tile_shapes[-1].gang

    @property
    def macs(self) -> int:
        """M = K * N, multipliers and multiply-accumulates a cycle."""
        return self.rows * self.columns

    @property
    def dsps(self) -> int:
        """DSPs: those of the products, and eight of the MFU's in each lane."""
        return self.rows * (self.columns - self.lut_columns) // self.packed + 8 * self.lanes

    @property
    def block(self) -> int:
        """Neurons of a band: K0 / 4. A row block of the smallest tile is a band."""
        return self.rows // 4

    @property
    def passes(self) -> int:
        """Cycles in which the lanes take up a band; least distance of two finishing slots."""
        return self.block // self.lanes

    @property
    def most_passes(self) -> int:
        """Cycles in which the lanes take up the largest row block."""
        return self.tile_shapes[-1].passes

    @property
    def beat_elements(self) -> int:
        """Elements of x or h in one beat."""
        return self.stream_bits // self.fmt.activation_room

    @property
    def word_beats(self) -> int:
        """Beats of one x word of N elements, the last one padded."""
        return ceil(self.columns / self.beat_elements)

    @property
    def beat_weights(self) -> int:
        """Weights in one beat."""
        return self.stream_bits // self.fmt.weight_room

    @property
    def tile_beats(self) -> int:
        """Beats of one tile's weights, the last one padded."""
        return ceil(self.macs / self.beat_weights)

    @property
    def item_beats_max(self) -> int:
        """Beats of the longest load item: a tile, or the K0 biases of a band."""
        return max(self.tile_beats, self.rows)

    @property
    def x_columns(self) -> int:
        """Column tiles of the largest x vector."""
        return ceil(self.max_input / self.columns)

    @property
    def blocks(self) -> int:
        """Bands of the largest layer, as many as fill its last tile whatever the shape."""
        return self.bands * ceil(self.max_hidden / (self.bands * self.block))

    @property
    def chain_blocks(self) -> int:
        """Bands of all chains, whose sums are stored."""
        return self.chains * self.blocks

    @property
    def h_words(self) -> int:
        """Words of all chains' h, with the neurons that fill row blocks: depth of an h half."""
        return self.chains * ceil(self.blocks * self.block / self.columns)

    @property
    def groups(self) -> int:
        """Groups of ``lanes`` neurons of all chains: depth of the memory of c."""
        return self.chain_blocks * self.passes

    @property
    def ring_words(self) -> int:
        """Depth of the x ring: two of the largest vectors, a power of two."""
        return 1 << max(2, (2 * self.x_columns - 1).bit_length())

    @property
    def bram_banks(self) -> tuple[int, ...]:
        """Depths of the banks of the weight memory in BRAM, so that BRAMs of 512 to 4K are filled.

        They are powers of two, largest first, and the rest: each begins at a multiple of its depth.
        """
        banks: list[int] = []
        while left := self.weight_tiles - sum(banks):
            whole = (d for d in (BRAM36_DEEPEST, *reversed(BRAM18)) if d <= left)
            banks.append(next(whole, left))
        return tuple(banks)

    @property
    def uram_banks(self) -> tuple[int, ...]:
        """Depths of the banks of the weight memory in UltraRAM: whole ones, and the rest."""
        tiles = self.weight_tiles
        return tuple(min(URAM_DEPTH, tiles - first) for first in range(0, tiles, URAM_DEPTH))

    @property
    def mixed(self) -> int:
        """1: h can have fewer bits in some layers than in others."""
        return int(self.fmt.mixed)

    @property
    def product_bits(self) -> int:
        """Width of one product, signed; packed weights leave out the least, -2**(w - 1)."""
        return self.fmt.weight_bits + self.fmt.activation_bits - (self.packed > 1)

    @property
    def packed_bits(self) -> int:
        """Width of a DSP's operand of weights, whose products lie side by side in its result."""
        return (self.packed - 1) * self.product_bits + self.fmt.weight_bits

    @property
    def sum_bits(self) -> int:
        """Width of the reduced sum of N products, signed: the worst case, exactly."""
        return (self.columns * self._worst_product).bit_length() + 1

    @property
    def acc_bits(self) -> int:
        """Width of the accumulator, signed: the worst case of the largest sizes, exactly."""
        return self._worst_sum.bit_length() + 1

    @property
    def scaled_bits(self) -> int:
        """Width of the accumulator times 4 to 7, its row's quarters; times 1 without them."""
        most = 7 if self.row_scales else 1
        return (most * self._worst_sum).bit_length() + 1

    @property
    def _worst_product(self) -> int:
        most = self.fmt.most_weight + (self.packed == 1)  # of the least weight, if there is one
        return most << (self.fmt.activation_bits - 1)

    @property
    def _worst_sum(self) -> int:
        x_part = self.max_input * self._worst_product + (1 << (self.fmt.bias_bits - 1))
        return (x_part << self.max_shift) + self.max_hidden * self._worst_product

    @property
    def reduce_levels(self) -> int:
        """Registered levels of the reduce tree, four to one each.

        With one shape it ends with one or two sums. With several it is tapped, and each tap is one
        sum: that of g's groups comes from level ``tap_levels``.
        """
        return levels(self.columns, 2) if self.bands == 1 else self.tap_levels[-1]

    @cached_property
    def tap_levels(self) -> tuple[int, ...]:
        """Levels of the tree with the sums of 1, 2, 4 ... G segments of a row's products.

        Four sums of the level below make one. Those of two halves stay apart while either half has
        more than two of them: every span is a node of one tree, as low as in a tree of its own.
        """
        segment = self.columns // self.bands
        return tuple(levels(segment << n, 1) for n in range(self.bands.bit_length()))

    @property
    def z_shift_min(self) -> int:
        """Right shift (left if negative) from scaled sum to tanh's argument at act_shift 0."""
        quarters = 2 * self.row_scales
        return self.fmt.h_frac + self.fmt.weight_frac_min + quarters - Z_FRAC

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The tail, stage by stage: from a slot's issue to its last h being readable."""
        return tail_stages(
            self.reduce_levels, self.most_passes, self.bands > 1, bool(self.row_scales)
        )

    @property
    def tail(self) -> int:
        """D: least distance in slots from a finishing slot to one that reads its h.

        Of the row block with most passes; one with fewer comes that much earlier.
        """
        own = sum(stage.cycles for stage in self.stages)
        least = self.min_tail if self.engine == "hls" else 0
        return self.given_tail or max(own, least)

    @property
    def acc_distance(self) -> int:
        """D_acc: least distance from the slot that stores a row block to one that takes it up."""
        return 4

    @property
    def drain_cycles(self) -> int:
        """From the cycle after the last slot's issue to ap_done: tail, h FIFO, h register."""
        return self.tail + 8

    @property
    def fifo_beats(self) -> int:
        """Depth of the h FIFO: all that can be in flight, so that a ready sink never stalls."""
        spare = 4 * ceil(self.most_passes * self.lanes / self.beat_elements)
        return 1 << (self.tail + 16 + spare).bit_length()

    @cached_property
    def identity(self) -> int:
        """32-bit hash of knobs, interface version and engine, readable from the engine."""
        fmt = self.fmt
        facts = {**self.knobs(), "interface": INTERFACE_VERSION}
        facts["format"] = str(fmt.widest)  # which levels have which is data
        if fmt.mixed:
            facts["mixed"] = 1
        if self.engine == "sv":
            facts.pop("min_tail", None)  # its D does not follow it
        else:
            facts["engine"] = self.engine
        text = json.dumps(facts, sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    @property
    def digest(self) -> str:
        """The identity as eight hex digits."""
        return f"{self.identity:08x}"

    def knobs(self) -> dict[str, str | int | tuple[int, ...]]:
        """Return the knobs alone, as the config file gives them; none at its default."""
        values = {f.name: getattr(self, f.name) for f in fields(Knobs)}
        return {n: v for n, v in values.items() if n not in _DEFAULTS or v != _DEFAULTS[n]}

    def with_format(self, fmt: str | None) -> Config:
        """Return the same engine at another format (another hash), or itself."""
        if fmt is None or fmt == self.format:
            return self
        asked, own = Format.parse(fmt), self.fmt
        wide = f"-{asked.widest}".lower() * (asked.widest != own.widest)
        return resized(self, format=fmt, name=f"{self.name}{wide}{'-mixed' * asked.mixed}")

    @property
    def limits(self) -> dict[str, Any]:
        """What ``quantize`` has to know of the engine, as its arguments."""
        return {
            "max_shift": self.max_shift,
            "row_scales": bool(self.row_scales),
            "symmetric": self.packed > 1,
        }

    def takes(self, fmt: str) -> bool:
        """Whether there is such an engine at another format."""
        return not any(problems(replace(self, format=fmt)))

    def of(self, engine: str) -> Config:
        """Return the config of the same knobs for an engine, or itself if it is for that one.

        Raises:
            UsageError: there is no such engine.
        """
        if engine not in ENGINE_VLNVS:
            known = ", ".join(ENGINE_VLNVS)
            raise UsageError(f"engine {engine!r} is unknown; choose one of {known}")
        return self if engine == self.engine else replace(self, engine=engine)

    def require(self, engine: str, what: str) -> None:
        """Refuse another engine's config, whose D and identity are not those of what is made.

        Raises:
            UsageError: it is for another engine than ``what`` takes.
        """
        if engine != self.engine:
            raise UsageError(
                f"{what} takes a config for the {engine} engine, {self.name} ({self.digest}) is "
                f"for {self.engine}; give it cfg.of({engine!r})"
            )


def from_knobs(knobs: dict[str, object], where: str = "config") -> Config:
    """Check knobs and make a Config.

    Raises:
        UsageError: unknown or missing keys, values of the wrong type or out of range, shapes that
            do not fit together; where only numbers are wrong, with those that would do.
    """
    names, given = [f.name for f in fields(Knobs)], {**_DEFAULTS, **knobs}
    unknown, missing = sorted(given.keys() - names), sorted(set(names) - given.keys())
    if unknown or missing:
        wrong = [f"unknown key {k!r}" for k in unknown] + [f"missing key {k!r}" for k in missing]
        raise UsageError(f"{where}: {', '.join(wrong)}; the keys are {', '.join(names)}")
    for name in ("name", "board", "format"):
        if not isinstance(given[name], str):
            raise UsageError(f"{where}: {name} = {given[name]!r} must be a text")
    within, ranges = dict(given), []
    for name, (least, most) in LIMITS.items():
        value = given[name]
        problem = f"{name} = {value!r} must be a whole number {least} to {most}"
        if type(value) is not int:
            raise UsageError(f"{where}: {problem}")
        if not least <= value <= most:
            within[name] = min(max(value, least), most)
            ranges.append(problem)
    k_list = given["k_list"]
    if not isinstance(k_list, list | tuple) or any(type(k) is not int for k in k_list):
        raise UsageError(f"{where}: k_list = {k_list!r} must be a list of whole numbers")
    # One K is what a config without a list has.
    within["k_list"] = () if list(k_list) == [given["rows"]] else tuple(k_list)
    config = Config(**within)
    for problem in (*ranges, *problems(config)):
        raise UsageError(f"{where}: {problem}{works(knobs, nearest(config))}")
    return config


def works(knobs: Mapping[str, Any], instead: Config | None) -> str:
    """Say which knobs are others in a config that works."""
    if instead is None:
        return ""
    given = {**_DEFAULTS, **knobs}
    given["k_list"] = tuple(given["k_list"])  # of a file it is a list
    new = ((f.name, getattr(instead, f.name)) for f in fields(Knobs))
    told = (f"{name} = {list(n) if name == 'k_list' else n}" for name, n in new if n != given[name])
    return f"; {', '.join(told)} works"


def nearest(cfg: Config) -> Config | None:
    """Find the possible config nearest to an impossible one whose numbers are within their limits.

    It has as many MACs if that can be, a K and an N near those wanted, and of the rest as much as
    they allow.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "-", cfg.name).lstrip("._-")[:64] or "mine"
    rest = replace(cfg, name=name, lut_columns=0, packed=1 << (cfg.packed.bit_length() - 1))
    if any(_format_problems(rest)):
        rest = replace(rest, format=USUAL[1])
    while any(_packing_problems(rest)):
        rest = replace(rest, packed=rest.packed // 2)
    least = max(cfg.stream_bits, rest.fmt.bias_bits, 64)
    rest = replace(rest, stream_bits=min(1 << (least - 1).bit_length(), LIMITS["stream_bits"][1]))

    def far(tile: tuple[int, int, tuple[int, ...]]) -> float:
        rows, columns, k_list = tile
        off = 2 * abs(log2(rows * columns / cfg.macs)) + 2 * len(set(cfg.k_list) - set(k_list))
        return off + abs(log2(rows / cfg.rows)) + abs(log2(columns / cfg.columns))

    for rows, columns, k_list in sorted(_tiles(cfg), key=far):
        lanes = range(min(cfg.lanes, rest.beat_elements), 0, -1)
        made = replace(
            rest,
            rows=rows,
            columns=columns,
            k_list=k_list if k_list != (rows,) else (),
            lanes=next(n for n in lanes if gcd(rows // 4, columns) % n == 0),
            uram_columns=min(cfg.uram_columns, columns),
            packed=min(rest.packed, rows),
            lut_columns=min(cfg.lut_columns, columns),
        )
        if not any(problems(made)):
            return made
    return None


def _tiles(cfg: Config) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """List K, N and a beginning of the list of K's of tiles that a config could have."""
    (_, tallest), (_, widest) = LIMITS["rows"], LIMITS["columns"]
    for rows in (4 << i for i in range(tallest.bit_length() - 2)):
        more = sorted(k for k in set(cfg.k_list) if k > rows and log2(k / rows) % 1 == 0)
        for columns in range(1, widest + 1):
            if columns % (rows // 4) == 0 or rows // 4 % columns == 0:
                for count in range(min(len(more), 7) + 1):
                    yield rows, columns, (rows, *more[:count])


def resized(cfg: Config, **knobs: str | int | tuple[int, ...]) -> Config:
    """Return the config with some knobs changed, for the same engine."""
    return from_knobs({**cfg.knobs(), **knobs}, cfg.name).of(cfg.engine)


def problems(cfg: Config) -> Iterator[str]:
    """What is impossible about a config whose single values are fine; both numbers, the remedy."""
    if wrong := list(_format_problems(cfg)):
        yield from wrong
        return
    fmt = cfg.fmt
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", cfg.name):
        yield f"name = {cfg.name[:80]!r} must be letters, digits, '.', '_' and '-', at most 64"
    if cfg.rows != 4 << int(log2(cfg.rows // 4)):
        yield f"rows = {cfg.rows} must be 4, 8, 16, ... (4 gates times a power of two)"
        return
    yield from _list_problems(cfg)
    if cfg.columns % cfg.block and cfg.block % cfg.columns:
        yield f"rows / 4 = {cfg.block} must divide columns = {cfg.columns} or the reverse"
    if cfg.block % cfg.lanes or cfg.columns % cfg.lanes:
        yield (
            f"lanes = {cfg.lanes} must divide rows / 4 = {cfg.block} and columns = {cfg.columns}"
        )
    if cfg.uram_columns > cfg.columns:
        yield f"uram_columns = {cfg.uram_columns} must be 0 to columns = {cfg.columns}"
    if cfg.lut_columns > cfg.columns:
        yield f"lut_columns = {cfg.lut_columns} must be 0 to columns = {cfg.columns}"
    yield from _packing_problems(cfg)
    if cfg.stream_bits & (cfg.stream_bits - 1):
        yield f"stream_bits = {cfg.stream_bits} must be a power of two"
    if cfg.lanes > cfg.beat_elements:
        yield (
            f"lanes = {cfg.lanes} make more h than a beat of {cfg.beat_elements} elements takes, "
            f"of stream_bits = {cfg.stream_bits}"
        )
    if cfg.stream_bits < max(fmt.bias_bits, 64):
        yield f"stream_bits = {cfg.stream_bits} must hold a state of 64 bits"


def _format_problems(cfg: Config) -> Iterator[str]:
    """What is wrong about the name of a format."""
    try:
        Format.parse(cfg.format)
    except UsageError as error:
        yield str(error)


def _packing_problems(cfg: Config) -> Iterator[str]:
    """What is impossible about so many products a DSP."""
    if cfg.packed & (cfg.packed - 1) or cfg.packed > cfg.rows:
        yield f"packed = {cfg.packed} must be 1, 2, 4 or 8, and not over rows = {cfg.rows}"
    elif cfg.packed > 1 and cfg.packed_bits > DSP_BITS:
        yield (
            f"packed = {cfg.packed} takes an operand of {cfg.packed_bits} bits at {cfg.format}, "
            f"and a DSP's has {DSP_BITS}"
        )


def _list_problems(cfg: Config) -> Iterator[str]:
    """What is impossible about a list of K's."""
    last = cfg.rows
    for place, k in enumerate(cfg.k_list):
        if place == 0 and k != cfg.rows:
            yield f"k_list begins with {k} and rows is {cfg.rows}; both name the smallest K"
            return
        if place and (k <= last or k % cfg.rows or (k // cfg.rows) & (k // cfg.rows - 1)):
            yield f"k_list has {k} after {last}; each is {cfg.rows} times 2, 4, 8 ... in this order"
        elif cfg.columns % (k // cfg.rows):
            yield f"K = {k} would make N = columns / {k // cfg.rows} of columns = {cfg.columns}"
        elif cfg.columns % (k // 4) and (k // 4) % cfg.columns:
            yield f"K / 4 = {k // 4} must divide columns = {cfg.columns} or the reverse"
        last = k
    if len(cfg.k_list) > 8:
        yield f"k_list has {len(cfg.k_list)} K's; an instruction tells 8 apart"
