"""Our side: csim as a process of its own, and the golden model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.case import Case
from lstm_sharp.engine import config
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime import deploy, engines
from workshop.bench_table import CSIM, GOLDEN

FORMATS = ("W16A16", "W8A16", "W8A8")
BATCH = 64  # sequences that the golden model takes at once


class Csim:
    """The C++ kernel; a run writes the job, starts the process, loads weights and reads h."""

    tool = CSIM

    def __init__(self, case: Case, setting: str) -> None:
        self.case, self.setting, self.sequences = case, setting, case.sequences

    def build(self) -> None:
        """Quantise, plan, render and compile, in a new folder."""
        cfg = config.load(self.case.config).with_format(self.setting).of("hls")
        self.model = quantize(
            self.case.model, cfg.fmt, self.case.calibration, cfg.max_shift, cfg.row_scales
        )
        self.cfg, self.stages = cfg, deploy.deploy(self.model, cfg, "best", self.case.steps)
        self.folder = tempfile.TemporaryDirectory(prefix="lstm-sharp-bench-")
        self.executable = engines.build("csim", cfg, Path(self.folder.name))

    def run(self) -> np.ndarray:
        x, play = self.model.quantize_input(self.case.x), engines.player(self.executable, self.cfg)
        h, _, _ = deploy.run(self.stages, x, None, False, play)
        return self.model.dequantize_h(np.stack(h))


class Golden:
    """The golden model of what a ``Csim`` runs, batch after batch."""

    tool = GOLDEN

    def __init__(self, csim: Csim) -> None:
        self.csim, self.setting, self.sequences = csim, csim.setting, csim.sequences

    def run(self) -> np.ndarray:
        model, x = self.csim.model, self.csim.case.x
        batches = [x[at : at + BATCH] for at in range(0, len(x), BATCH)]
        hs = [golden.run(model, model.quantize_input(batch))[0] for batch in batches]
        return model.dequantize_h(np.concatenate(hs))
