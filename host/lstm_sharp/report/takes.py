"""What a model takes of an engine's memories, and an engine of its board."""

from __future__ import annotations

from collections.abc import Iterator

from lstm_sharp.compiler.limits import h_words, places
from lstm_sharp.engine import config, resources, storage
from lstm_sharp.engine.boards import board
from lstm_sharp.fit import MEMORIES, Fit
from lstm_sharp.report.drawings import Bar, Piece, bars
from lstm_sharp.report.parts import COUNTED, ESTIMATED, MODELLED, Figure, Job, Part, Table
from lstm_sharp.report.speed import cells_of

_RESOURCES = {"lut": "LUT", "dsp": "DSP", "bram36": "BRAM36", "uram": "UltraRAM"}


def memories(job: Job) -> Iterator[Part]:
    """Draw how full the engine's memories are, layer by layer."""
    plans, cfg = job.plans(1), job.cfg
    named = iter(cells_of(job, plans))
    rows, legend = [], list[tuple[str, str]]()
    for number, plan in enumerate(plans):
        cells = [next(named) for _ in plan.layers]
        legend += [(css, name) for name, css, _ in cells]
        level = f", layer {number}" if len(plans) > 1 else ""
        weights, biases, at = list[Piece](), list[Piece](), 0
        for name, css, cell in cells:
            base = cell.weight_base
            ends = base, base + cell.x_tiles, base + cell.tiles
            for part, a, b in (("x", *ends[:2]), ("h", *ends[1:])):
                hover = f"{name}, {part}-part: {b - a:,} tiles"
                weights.append(Piece(f"{css} {part}-part", a, b, part, hover))
            hover = f"{name}: {cell.bands:,} bands"
            biases.append(Piece(css, cell.bias_base, cell.bias_base + cell.bands, "", hover))
        used = sum(cell.shape.weights for cell in plan.layers)
        filled = used / (plan.tiles * cfg.macs)
        told = f"{plan.tiles:,} of {cfg.weight_tiles:,} tiles, {filled:.0%} of them weights"
        rows.append(Bar(f"weights{level}", weights, cfg.weight_tiles, told))
        told = f"{plan.bias_blocks:,} of {cfg.bias_blocks:,} bands"
        rows.append(Bar(f"biases{level}", biases, cfg.bias_blocks, told))
        beside = plan.beside
        words = max(h_words(shape, cfg) for shape in plan.shapes)
        bands = max(places(shape, cfg) for shape in plan.shapes)
        at = job.steps * plan.stride(1)
        if at:
            told = f"{at:,} of {cfg.sequence_words:,} words: h between layers, {job.steps} steps"
            rows.append(Bar("sequence buffer", [Piece("all", 0, at)], cfg.sequence_words, told))
        one, taken = words * beside, bands * cfg.block // cfg.lanes * beside
        for what, size, held, unit in (
            ("h buffer", one, cfg.h_words, "words"),
            ("c memory", taken, cfg.groups, "groups of lanes"),
        ):
            told = f"{size:,} of {held:,} {unit} for one sequence"
            rows.append(Bar(f"{what}{level}", [Piece("all", 0, size)], held, told))
    label = "What of the engine's memories the model takes"
    yield Figure(label, MODELLED, bars(rows, label, legend))


def lacking(found: Fit) -> Table:
    """Say what the engine holds too little of."""
    row = ("tiles of weights", f"{found.tiles:,}", f"{found.weight_tiles:,}")
    return Table("What the largest layer needs", MODELLED, ("", "needed", "held"), [row])


def resources_of(job: Job) -> list[Part]:
    """Hold what the engine takes against its board."""
    cfg, made = job.cfg, board(job.cfg.board)
    counted = storage.counted(config.counted_as(cfg).digest)
    taken = {kind: (value, ESTIMATED) for kind, value in resources.estimate(cfg).items()}
    if counted:
        by = f"{COUNTED} by Yosys, not placed"
        taken |= {kind: (counted[kind], by) for kind in ("lut", "dsp")}
    taken |= {kind: (storage.most(cfg)[kind], ESTIMATED) for kind in MEMORIES}
    rows, drawn_rows = list[tuple[str, ...]](), list[Bar]()
    for kind, name in _RESOURCES.items():
        if kind not in taken or (made and not made.has[kind] and not taken[kind][0]):
            continue
        used, how = taken[kind]
        free = made.free(kind) if made else None
        rows.append((name, f"{used:,.5g}" if used < 1e5 else f"{used:,.0f}", how))
        if made and free:
            rows[-1] = (*rows[-1], f"{free:,}", f"{made.has[kind]:,}", f"{used / free:.0%}")
            piece = Piece("c0", 0, min(used, free), f"{used / free:.0%}", f"{used:,.0f} {name}")
            drawn_rows.append(Bar(name, [piece], free, f"{used:,.0f} of {free:,}"))
    head = ("", "used", "kind") + (("free", "on the board", "share") if made else ())
    title = "What the engine takes"
    parts: list[Part] = [Table(title, "see the kind of each row", head, rows)]
    if drawn_rows:
        label = "Of what is free beside DMA and interconnect"
        parts.append(Figure(label, "as in the table", bars(drawn_rows, label)))
    if "lut" not in taken:
        parts.append("LUTs of this engine have not been counted.")
    parts.append(
        "They are the engine's, whatever model it runs. BRAM and UltraRAM are those of "
        "the one of the two engines that takes more."
    )
    return parts
