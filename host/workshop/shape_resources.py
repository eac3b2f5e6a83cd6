"""What the shapes of a tile cost in hardware: ``python -m workshop.shape_resources``.

Maps engines that differ in their list of K's alone with Yosys, asks the timing witness about each,
and writes docs/results/shape_resources.json. It takes about 8 minutes on two cores.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from rich.progress import track

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import yosys
from lstm_sharp.terminal import Parser, ended
from workshop import resources, results, tables

_LSTM = {"gru": 0}
"""What is compared is shapes; so no engine has more than LSTMs take."""
_ALONE = {"lanes": 1, "lut_columns": 0, "weight_tiles": 2560}
"""One lane, and DSPs alone."""
_HALF = {"chains": 2, "sequence_words": 256, **_ALONE, **_LSTM}
"""Bands of 4 rows are twice as many as of 8: with half the chains memories are as deep."""
_TILES = {  # MACs: config whose other knobs they have, what is other, and all K's
    208: ("pynq-z2", {"rows": 4, "columns": 52, **_HALF}, (4, 8, 16)),
    192: ("pynq-z2", {"rows": 4, "columns": 48, **_HALF}, (4, 8, 16, 32)),
}


def engines() -> list[Config]:
    """List the engines: of each size one with the first K alone, with two, and with all."""
    return [
        config.resized(
            config.load(name),
            **knobs,
            name=f"m{macs}-k{count}",
            k_list=k_list[:count] if count > 1 else (),
        )
        for macs, (name, knobs, k_list) in _TILES.items()
        for count in (1, 2, len(k_list))
    ]


def entry(cfg: Config) -> dict[str, Any]:
    """Synthesise one and say what was seen."""
    seen, verdict = resources.measure(cfg)
    own = {"macs": cfg.macs, "k_list": [shape.rows for shape in cfg.tile_shapes], "tail": cfg.tail}
    return {**own, **seen, "failing": [str(path) for path in verdict.failing]}


def main() -> int:
    """Synthesise all; fail if the witness lets one not pass."""
    return ended(_main)


def _main() -> int:
    with ProcessPoolExecutor(2) as pool:
        made = engines()
        seen = list(track(pool.map(entry, made), "mapping with Yosys", total=len(made)))
    results.write("shape_resources", {"yosys": yosys.version(), "engines": seen})
    tables.rewrite()
    for one in seen:
        for path in one["failing"]:
            print(f"{one['macs']} MACs, K {one['k_list']}: {path}", file=sys.stderr)
    return int(not all(one["witness"] for one in seen))


if __name__ == "__main__":
    Parser(description=__doc__.splitlines()[0]).parse_args()
    sys.exit(main())
