"""``make hls``: Vitis HLS simulates, synthesises, cosimulates and exports a config's kernel.

``python -m lstm_sharp.vendor.vitis CONFIG`` renders the project, runs the tool and reads its
reports; see docs/vitis.md.
"""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import EngineError, ToolError, UsageError
from lstm_sharp.flow import jobs, render, tools, xilinx
from lstm_sharp.flow.hls_rtl import FOLDER, read_stamp, write_stamp
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics.stored import load_model
from lstm_sharp.package import vectors
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.terminal import Parser, ended
from lstm_sharp.vendor import reports

STAGES = ("csim", "csynth", "cosim", "export")
LOG = "vitis.log"
_COMMANDS = (("vitis-run", "--mode", "hls", "--tcl"), ("vitis_hls", "-f"))
_OTHERWISE = (
    "`make csim` runs the kernel, `make lint` checks it and `make cosim` simulates the "
    "SystemVerilog engine"
)
_REMEDIES = {
    "setup": "is the part installed? AMD's installer adds device families",
    "csim": "the kernel compiles or computes otherwise here than under g++ (`make csim`)",
    "csynth": "the log's first ERROR says what cannot be synthesised",
    "cosim": "the RTL does not do what the C++ does; its simulation is in the log",
    "export": "the IP's packaging is in the log",
}


def run(cfg: Config, model: Model, build_dir: Path, stages: Sequence[str] = STAGES) -> Path:
    """Render a config's project and take it through stages of Vitis HLS.

    What an older run left is removed first, and the stamp is written last.

    Args:
        cfg: the engine, hls.
        model: runs in C simulation and cosimulation, on a few short sequences.
        build_dir: gets a folder for each config.
        stages: of ``STAGES``, in their order.

    Returns:
        The folder of what the tool made.

    Raises:
        ToolError: no tool.
        UsageError: stages that need another, a model that does not fit, or a config for
            another engine.
        ToolError: a stage failed; the text names it and the log.
    """
    cfg.require("hls", "the kernel")
    missing = {"cosim", "export"} & set(stages) and "csynth" not in stages
    if missing or not stages or list(stages) != [s for s in STAGES if s in stages]:
        raise UsageError(f"stages are {', '.join(STAGES)}, in order; the last two need csynth")
    folder = tools.build_folder(cfg, build_dir)
    out = folder / FOLDER
    env = xilinx.environment()
    command, release = find(env)
    tools.clear(out, out / LOG)
    render.render(cfg, folder)
    programs = write_job(cfg, model, folder / "vectors", build_dir)
    status, text, said = xilinx.run(
        "Vitis HLS",
        release,
        [*command, folder / "hls" / "run_hls.tcl"],
        out / LOG,
        {**env, "LSTM_SHARP_HLS_STAGES": " ".join(stages)},
        "lstm-sharp: ",
    )
    last = said[-1] if said else "setup"
    if status or last != "done":
        stage = last.split()[0]
        why = re.search(r"^ERROR:.*", text, re.MULTILINE)
        how = why[0] if why else last if "FAILED" in last else "the tool was broken off"
        remedy = _REMEDIES.get(stage, "run it again")
        raise ToolError(f"Vitis HLS failed in {stage}: {how}; {remedy} (see {out / LOG})")
    write_stamp(cfg, folder, {"tool": release, "stages": list(stages), "programs": programs})
    return out


def find(env: Mapping[str, str]) -> tuple[list[str], str]:
    """Find Vitis HLS, and its release; errors are those of ``xilinx.find``."""
    return xilinx.find(_COMMANDS, env, _OTHERWISE)


def write_job(cfg: Config, model: Model, folder: Path, build_dir: Path) -> list[list[int]]:
    """Write ``job`` and ``want``: a model's test vectors and what each run must give, padding too.

    The results are those of csim, after its h and states have been held against the golden model.

    Returns:
        The words of each program.

    Raises:
        ToolError: no g++.
        UsageError: a model that does not fit.
        EngineError: csim differs from the golden model.
    """
    quantized, stages, made, _ = vectors.prepare(model, cfg, assume=(-1, 1))
    made = vectors.make(quantized, made.x[:4, :3])
    executable = engines.build("csim", cfg, build_dir)
    played: list[jobs.Run] = []
    gave: list[jobs.Result] = []

    def play(stage: deploy.Stage, runs: Sequence[jobs.Run]) -> Sequence[jobs.Result]:
        played.extend([stage.load(), *runs])
        return engines.player(executable, cfg)(stage, runs)

    for half in made.halves():
        h, after, seen = deploy.run(stages, half.x, half.state, True, play)
        gave += chain.from_iterable(seen)
        found = zip((h, *(after or ())), (half.h, *half.end), strict=True)
        if not all(np.array_equal(a, b) for a, b in found):
            raise EngineError("csim differs from the golden model; `make csim` looks closer")
    folder.mkdir(parents=True, exist_ok=True)
    jobs.write_job(folder / "job", played)
    jobs.write_results(folder / "want", gave)
    return [run.program.tolist() for run in played]


def small_model() -> Model:
    """Draw two small layers: quick to cosimulate, and in need of every part of the kernel."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.7, shape)

    sizes = ((5, 7), (7, 6))
    return Model(tuple(Layer(draw(4 * h, x), draw(4 * h, h), draw(4 * h)) for x, h in sizes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``make hls``."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--stages", default=",".join(STAGES), help="default: %(default)s")
    parser.add_argument(
        "--model", metavar="MODEL", help="for the simulations; default: a small one"
    )
    parser.add_argument("--build", type=Path, default=Path("build"), metavar="DIR")
    parser.add_argument("--read", action="store_true", help="read the reports of the last run")
    parser.add_argument("--where", action="store_true", help="print the folder, and no more")
    options = parser.parse_args(arguments)
    return ended(lambda: _main(options))


def _main(options: Namespace) -> int:
    cfg = config.load(options.config).of("hls")
    out = tools.build_folder(cfg, options.build) / FOLDER
    if options.where:
        print(out)
        return 0
    if not options.read:
        model = load_model(options.model) if options.model else small_model()
        out = run(cfg, model, options.build, options.stages.split(","))
    report = judged(cfg, out)
    for failure in report.failures if report else ():
        print(f"FAILED: {failure}", file=sys.stderr)
    return int(bool(report and report.failures))


def judged(cfg: Config, out: Path) -> reports.Report | None:
    """Read, write and print the report of a run; None if nothing was synthesised.

    Raises:
        UsageError: its run did not end.
        ToolError: a report lacks something.
    """
    stamp = read_stamp(out)
    if "csynth" not in stamp["stages"]:
        return None
    report = reports.read(cfg, out, stamp)
    report.write(out)
    print(report.table())
    return report


if __name__ == "__main__":
    sys.exit(main())
