"""Seconds of a processor that first builds of simulators take: ``python -m bench.building``."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import csim, verilate


def spent(build: Callable[[Config, Path], Path], cfg: Config, folder: Path) -> float:
    """Return the user and system seconds of what a build starts."""

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    build(cfg, folder)
    return seconds() - before


def main() -> int:
    """Build each engine in an empty folder, and once more where another's has been built."""
    print("config    rtl, first  after another's  virtual board  csim")
    for name, other in (("tiny", "pynq-z2"), ("pynq-z2", "tiny")):
        cfg = config.load(name)
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            alone, beside = Path(first), Path(second)
            verilate.build(config.load(other), beside)
            took = (
                spent(verilate.build, cfg, alone),
                spent(verilate.build, cfg, beside),
                spent(verilate.library, cfg, alone),
                spent(csim.build, cfg.of("hls"), alone),
            )
        print("{:10}{:10.1f} {:16.1f} {:14.1f} {:5.1f}".format(name, *took))
    return 0


if __name__ == "__main__":
    sys.exit(main())
