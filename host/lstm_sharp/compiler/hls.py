"""Cycles of the HLS kernel, by what its loops are written for: predicted, seen on no tool yet."""

from __future__ import annotations

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER, Program

_BESIDE_TAIL = 12
"""Stages of the slot loop before a slot reads its memories, and of the loops around it: a guess."""


def hls_cycles(cfg: Config, program: Program | np.ndarray) -> int:
    """Count the cycles of a program on the kernel of hls/kernel/, streams that never stall.

    It reads a program word a cycle, then spends a cycle a slot and a load beat (II = 1), the turns
    of the last row block and the depth of its pipeline. Waiting for x is not in it.

    Args:
        cfg: the engine.
        program: as it is, or encoded in uint32 words.
    """
    words = program.encode(cfg) if isinstance(program, Program) else program
    slots = int(words[HEADER["slots"].word])
    return words.size + slots + cfg.most_passes - 1 + cfg.tail + _BESIDE_TAIL
