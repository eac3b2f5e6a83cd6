"""``make qualify``: all that AMD's tools say of an engine, in one file that the board completes.

``python -m lstm_sharp.vendor.qualify BOARD`` runs Vitis HLS, tests the RTL that it made, builds the
overlay, and writes a package; its ``run.py`` completes the file on the board; docs/qualified.md.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_sharp import __version__, files, package
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import DEFAULT
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import hls_rtl, tools, xilinx
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.stored import load_model
from lstm_sharp.package.folder import QUALIFICATION
from lstm_sharp.terminal import Parser, ended
from lstm_sharp.vendor import vitis, vivado


def qualify(cfg: Config, board: str, model: Model, build_dir: Path) -> Path:
    """Run all tools that a board's overlay takes.

    Args:
        cfg: the engine, hls or sv.
        board: a folder of overlays/.
        model: is packaged, and simulated by Vitis HLS.
        build_dir: gets a folder for each config.

    Returns:
        The package.

    Raises:
        UsageError: a model that does not fit.
        ToolError: a tool failed, or a report shows what must not be; nothing is packaged then.
    """
    found: dict[str, Any] = {
        "lstm_sharp": __version__,
        "board": board,
        "config": cfg.name,
        "identity": cfg.digest,
        "engine": cfg.engine,
    }
    vivado.find(xilinx.environment())  # before hours of the other tool
    folder = tools.build_folder(cfg, build_dir)
    if cfg.engine == "hls":
        found["vitis"] = _synthesised(cfg, model, build_dir)
    print("testing the RTL with Verilator ...", flush=True)
    found["cosim"] = _simulated(folder, cfg.engine)
    bit = vivado.build(cfg, board, build_dir=build_dir)
    found["vivado"] = files.read_json(bit.with_suffix(".json"))
    text = json.dumps(found, indent=2) + "\n"
    out = folder / f"qualify-{board}-{cfg.engine}"
    package.write(model, cfg, out, assume=(-1, 1), overlay=bit, more={QUALIFICATION: text.encode()})
    return out


def _synthesised(cfg: Config, model: Model, build_dir: Path) -> dict[str, Any]:
    """Run Vitis HLS; return what its reports say."""
    out = vitis.run(cfg, model, build_dir)
    report = vitis.judged(cfg, out)
    assert report is not None
    if report.failures:
        raise ToolError(f"{report.failures[0]} (see {out / 'report.txt'})")
    return {
        "release": report.tool,
        "clock_ns": report.clock_ns,
        "loops": {loop.label: [loop.ii, loop.depth] for loop in report.loops},
        "distance": report.distance,
        "resources": report.resources,
        "cycles": report.cycles,
    }


def _simulated(folder: Path, engine: str) -> str:
    """Run the project's own tests on the RTL; return pytest's last line."""
    env = {**os.environ, hls_rtl.CHOICE: engine, hls_rtl.PROJECT: str(folder / hls_rtl.FOLDER)}
    log = folder / f"cosim-{engine}.log"
    command = [sys.executable, "-m", "pytest", "-q", "tests/rtl"]
    failed, said = tools.follow(command, Path(), log, env)
    last = said.strip().splitlines()[-1]
    if failed:
        raise ToolError(f"the RTL fails its tests ({last}); see {log}")
    return last


def main(arguments: Sequence[str] | None = None) -> int:
    """Qualify a board's engine."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("board", nargs="?", metavar="BOARD", help="default: the config's")
    parser.add_argument("--config", help="engine config (default: the board's)")
    parser.add_argument("--engine", choices=sorted(ENGINE_VLNVS), default="hls")
    parser.add_argument("--model", metavar="MODEL", help="default: a small one")
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="DIR")
    asked = parser.parse_args(arguments)

    def act() -> None:
        cfg = config.load(asked.config or asked.board or DEFAULT).of(asked.engine)
        model = load_model(asked.model) if asked.model else vitis.small_model()
        out = qualify(cfg, asked.board or board_of(cfg), model, asked.build)
        print(f"{out}: copy it to the board and run `python {out.name}/run.py` there")

    return ended(act)


if __name__ == "__main__":
    sys.exit(main())
