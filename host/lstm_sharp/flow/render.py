"""Rendering: templates, config and hand-written sources become a tree that tools can build.

Templates hold text, holes and one-level loops; what they show is worked out here or in the
config, never in them. ``${ }`` stands for a value, a line that begins with ``//%`` is a statement,
one that begins with ``//#`` a comment: what a template takes, at its top.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp import files, paths
from lstm_sharp.engine import beats, program, storage
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.engine.pipeline import SPANS, span
from lstm_sharp.engine.registers import ENGINE, ENGINE_MAP, ENGINE_SPAN, ENGINE_VLNVS
from lstm_sharp.errors import UsageError, lacking
from lstm_sharp.numerics import activation, formats

if TYPE_CHECKING:
    import jinja2

_FOLDERS = {"hls": "hls", "rtl": "sv"}
"""Folders of templates/ that make up the rendered tree, and the engine that each makes."""
_SOURCES = {"hls": ("kernel", "tb"), "rtl": ("rtl",)}
"""Folders of hls/ that each takes along."""
_MARKS = (Path("hls/config.hpp"), Path("rtl/lstm_config_pkg.sv"))
"""The file of each that is written first, and that tells it from a folder of someone else's."""
_SUFFIXES = (".hpp", ".cpp", ".tcl", ".sv", ".svh")


_SIZES = (
    *("rows", "columns", "block", "lanes", "passes", "most_passes", "bands"),
    *("packed", "packed_bits", "lut_columns", "product_bits", "sum_bits", "acc_bits"),
    *("max_shift", "row_scales", "scaled_bits", "gru", "mixed"),
    *("z_shift_min", "h_words", "x_columns", "ring_words", "weight_tiles", "uram_columns"),
    *("bias_blocks", "stream_bits", "beat_elements", "word_beats", "tile_beats", "beat_weights"),
    *("fifo_beats", "tail", "acc_distance"),
)
"""Figures of a config that both engines take under the same name, in camel case."""
_RTL_SIZES = (
    *("macs", "reduce_levels", "tap_levels", "bram_banks", "uram_banks", "sequence_words"),
    *("item_beats_max", "drain_cycles"),
)
"""And those that the SystemVerilog engine alone takes."""


def constants(cfg: Config) -> dict[str, int | tuple[int, ...]]:
    """All numbers that both engines take, by name; C++ puts a k in front."""
    return {
        **_of(cfg, *_SIZES),
        "Gangs": tuple(shape.gang for shape in cfg.tile_shapes),
        "Blocks": cfg.chain_blocks,  # of all chains, as are the places of c and words of h
        "CGroups": cfg.groups,
        **_of(cfg.fmt, "weight_bits", "weight_room"),
        "ActBits": cfg.fmt.activation_bits,
        "ActRoom": cfg.fmt.activation_room,
        **_of(cfg.fmt, "bias_bits", "h_frac"),
        **_of(formats, "C_BITS", "C_FRAC", "GRU_C_FRAC", "MAX_C_SHIFT", "SIGMA_FRAC"),
        **_of(activation, "Z_BITS", "SEGMENT_BITS", "FRAC_BITS", "BASE_BITS", "SLOPE_BITS"),
        **_of(program, "MAGIC", "STRIDE", "MAX_INSTRUCTIONS", "C_SATURATED"),
        **{f"{_camel(name)}At": bits.lsb for name, bits in beats.SCALE.items()},
        **{f"{_camel(name)}Bits": bits.width for name, bits in beats.SCALE.items()},
        "WindowWords": ENGINE["Memory_program"].size // 4,
    }


def _kernel_constants(cfg: Config) -> dict[str, int]:
    """Numbers that the C++ kernel alone takes."""
    return {
        **_of(activation, "Z_FRAC"),
        "Works": storage.WORK_FIFO,
        **{_camel(name): n for name, n in vars(storage.KernelStorage.of(cfg)).items()},
    }


def _rtl_constants(cfg: Config) -> dict[str, int | tuple[int, ...]]:
    """Numbers that the SystemVerilog engine alone takes."""
    most = np.array([(1 << (activation.Z_BITS - 1)) - 1])
    return {
        **_of(cfg, *_RTL_SIZES),
        "TanhEnd": int(activation.tanh_steps(most)[0]),
        "AxilAddrBits": (ENGINE_SPAN - 1).bit_length(),
        **{name: span(cfg.stages, *ends) for name, ends in SPANS.items()},
    }


def _of(holder: object, *names: str) -> dict[str, Any]:
    """Give numbers that an object holds under their names in camel case."""
    return {_camel(name): getattr(holder, name) for name in names}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def context(cfg: Config) -> dict[str, object]:
    """All that templates may name.

    Raises:
        UsageError: there are no facts of the config's board.
    """
    return {
        "cfg": cfg,
        "header": program.HEADER,
        "instruction": program.INSTRUCTION,
        "enums": [_enum(e) for e in (program.Op, program.Source, program.Start, program.Status)],
        "constants": constants(cfg),
        "kernel": _kernel_constants(cfg),
        "rtl": _rtl_constants(cfg),
        "registers": {f"Addr{_camel(r.name)}": r for r in ENGINE_MAP},
        "control": {_camel(name): bit for name, bit in ENGINE["CTRL"].fields.items()},
        "table": _table(),
        "hls": {  # what Vitis HLS is told beside the sources
            "part": facts(board_of(cfg)).part,
            "period_ns": f"{1000 * 1000 // cfg.clock_mhz / 1000:.3f}",  # not above the config's
            "vlnv": ENGINE_VLNVS["hls"].split(":"),  # of the exported IP, named as its top
        },
    }


@cache
def environment() -> jinja2.Environment:
    """Return what templates are rendered in.

    Raises:
        ToolError: Jinja2 is not installed.
    """
    try:
        import jinja2  # an extra: a board has no use for it
    except ImportError:
        raise lacking("jinja2", "rendering an engine") from None

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.templates()),
        variable_start_string="${",
        variable_end_string="}",
        line_statement_prefix="//%",
        line_comment_prefix="//#",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )


def filled(template: str, **values: object) -> str:
    """Fill a template of templates/; errors are those of ``environment``."""
    text = environment().get_template(template).render(values)
    return text.lstrip("\n")  # a comment leaves its line end behind


def render(cfg: Config, out: Path) -> None:
    """Write hls/ and rtl/ of a config under ``out``; files that would not change are left alone.

    Each folder is that of the engine that it makes, whichever of the two the config is for. All
    texts are there before anything appears under ``out``, and nothing is ever deleted.

    Raises:
        ToolError: Jinja2 is not installed.
        UsageError: something else lies in the folders, or they cannot be written.
    """
    check_target(out)
    names = {folder: context(cfg.of(engine)) for folder, engine in _FOLDERS.items()}
    texts = {}
    for target, source in _sources().items():
        texts[target] = source.read_text(encoding="utf-8")
        if source.suffix == ".j2":
            template = source.relative_to(paths.templates()).as_posix()
            texts[target] = filled(template, **names[target.parts[0]])
    for target in sorted(texts, key=lambda name: (name not in _MARKS, name)):
        path = out / target
        if not path.is_file() or path.read_bytes() != texts[target].encode():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_text(path, texts[target])


def _sources() -> dict[Path, Path]:
    """Of each file of the rendered tree its template, or the hand-written file itself."""
    hardware, templates = paths.hardware(), paths.templates()
    found: dict[Path, Path] = {}
    for folder, sources in _SOURCES.items():
        for source in sources:
            inside = Path(folder) if source == folder else Path(folder, source)
            paths_in = (p for p in (hardware / source).glob("*") if p.suffix in _SUFFIXES)
            found |= {inside / path.name: path for path in paths_in}
        for path in (templates / folder).rglob("*.j2"):
            found[path.relative_to(templates).with_suffix("")] = path
    return found


def check_target(out: Path) -> None:
    """Refuse a folder in which something else lies than what a render writes.

    Raises:
        UsageError: it has sources but no mark of a render, or others than a render's.
    """
    made = _sources()
    for mark in _MARKS:
        folder = out / mark.parent
        held = [p for p in sorted(folder.rglob("*")) if p.suffix in _SUFFIXES]
        if (out / mark).is_file():
            held = [path for path in held if path.relative_to(out) not in made]
        if held:
            raise UsageError(
                f"{held[0]} is of no render of this version, and {folder} is to hold nothing else; "
                "remove it, or name another folder"
            )


def _enum(choice: type[IntEnum]) -> dict[str, object]:
    """Give a closed choice's name, bits, and CamelCase name and value of each member."""
    members = tuple((_camel(member.name), int(member.value)) for member in choice)
    field = program.INSTRUCTION.get(choice.__name__.lower())
    return {"name": choice.__name__, "bits": field.width if field else 8, "members": members}


@cache
def _table() -> dict[str, object]:
    """Give tanh's table as initialiser lines: base and slope of a segment in one word."""
    base, slope = activation.table()
    entries = (base << activation.SLOPE_BITS) | slope
    width = activation.BASE_BITS + activation.SLOPE_BITS
    return {
        "segments": 1 << activation.SEGMENT_BITS,
        "cpp_lines": _lines([f"0x{entry:07x}" for entry in entries], 8),
        "sv_groups": [
            _lines([f"{width}'h{entry:07x}" for entry in group], 6)
            for group in entries.reshape(-1, 64)
        ],
    }


def _lines(items: list[str], each: int) -> tuple[str, ...]:
    """Join items with commas, ``each`` to a line; none after the last."""
    rows = [", ".join(items[at : at + each]) for at in range(0, len(items), each)]
    return tuple(row + "," for row in rows[:-1]) + (rows[-1],)
