"""How long reading a model of 50 MB takes, and how much memory: ``python -m bench.importing``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from onnx import helper, numpy_helper, save

_RUNS = 5
_WIDTH = 1024
_READ = """
import json, sys, time
import lstm_sharp, onnx, lstm_sharp.model.onnx_cut
def peak():
    with open("/proc/self/status") as told:
        return next(int(line.split()[1]) * 1024 for line in told if line.startswith("VmHWM"))
before, began = peak(), time.perf_counter()
graph = lstm_sharp.load(sys.argv[1])
print(json.dumps([time.perf_counter() - began, peak() - before]))
"""


def write(path: Path) -> None:
    """Write a graph of 50 MB: a convolution of a third of the weights, an LSTM of the rest."""
    rng = np.random.default_rng(0)
    shapes = {"C": (_WIDTH, _WIDTH, 4), "W": (1, 4 * _WIDTH, _WIDTH), "R": (1, 4 * _WIDTH, _WIDTH)}
    weights = {
        name: rng.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "C"], ["a"], pads=[2, 1]),
        helper.make_node("Transpose", ["a"], ["t"], perm=[2, 0, 1]),
        helper.make_node("LSTM", ["t", "W", "R"], ["y"], hidden_size=_WIDTH),
    ]
    x = helper.make_tensor_value_info("x", 1, [1, _WIDTH, "time"])
    y = helper.make_tensor_value_info("y", 1, None)
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "big", [x], [y], held)
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def main() -> int:
    """Measure, each time in a process of its own; libraries are there already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "big.onnx")
        write(path)
        size, runs = path.stat().st_size, []
        for _ in range(_RUNS):
            done = subprocess.run(
                [sys.executable, "-c", _READ, path], capture_output=True, check=True
            )
            runs.append(json.loads(done.stdout))
    seconds, memory = (median(column) for column in zip(*runs))
    print(f"{size / 1e6:.0f} MB read in {seconds:.2f} s, with {memory / size:.1f} times its size")
    return 0


if __name__ == "__main__":
    sys.exit(main())
