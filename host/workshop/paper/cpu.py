"""Times of PyTorch and ONNX Runtime on this machine's processor: *measured*.

Each library, number format and number of threads has a process of its own, since threads have to
be set before a library is imported.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from rich.progress import track

SIZES = ((256, 150), (512, 25), (1024, 25), (2048, 25))
"""X = H and steps, of DeepBench."""
BATCHES = (1, 16)
LIBRARIES = ("PyTorch", "ONNX Runtime")
NUMBERS = ("float32", "dynamic int8")
_SECONDS, _LEAST, _MOST = 1.0, 3, 200
"""Of a figure's runs: how long, how many at least and at most."""
_PATIENCE_S = 120
"""After which a process is ended."""


def study() -> dict[str, Any]:
    """Measure all, one process after the other, with what the machine was doing."""
    cores = os.cpu_count() or 1
    asked = [(lib, n, t) for lib in LIBRARIES for n in NUMBERS for t in dict.fromkeys((1, cores))]
    before = os.getloadavg()
    rows = [row for job in track(asked, "measuring the processor") for row in _apart(*job)]
    return {
        "kind": "measured by us",
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": cores,
        "versions": {name: version(name) for name in ("torch", "onnxruntime") if find_spec(name)},
        "load": {"before": before[0], "after": os.getloadavg()[0]},
        "rows": rows,
    }


def processor() -> str:
    """Name this machine's processor."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.machine()


def _apart(library: str, numbers: str, threads: int) -> list[dict[str, Any]]:
    """Measure in a process of its own; a row that says why where that does not work."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, str(threads))}
    command = [sys.executable, "-m", __name__, library, numbers, str(threads)]
    of: dict[str, Any] = {"library": library, "numbers": numbers, "threads": threads}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return [{**of, "absent": f"it took more than {_PATIENCE_S} s"}]
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return [{**of, "absent": last[:100]}]
    return [{**of, **row} for row in json.loads(done.stdout.splitlines()[-1])]


def timed(once: Callable[[], object], seconds: float = _SECONDS) -> list[float]:
    """Run something after one run that does not count; return the seconds of each run."""
    once()
    taken: list[float] = []
    while len(taken) < _LEAST or (sum(taken) < seconds and len(taken) < _MOST):
        began = time.perf_counter()
        once()
        taken.append(time.perf_counter() - began)
    return taken


def row(hidden: int, steps: int, batch: int, taken: list[float]) -> dict[str, Any]:
    """Say what runs of so many sequences took; 16 H^2 operations a step."""
    middle = median(taken)
    return {
        "hidden": hidden,
        "steps": steps,
        "batch": batch,
        "runs": len(taken),
        "median_ms": round(middle * 1e3, 5),
        "least_ms": round(min(taken) * 1e3, 5),
        "gflops": round(16 * hidden**2 * steps * batch / middle / 1e9, 3),
    }


def _of_torch(numbers: str, threads: int) -> Iterator[dict[str, Any]]:
    """Time torch.nn.LSTM."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    for hidden, steps in SIZES:
        model: Any = torch.nn.LSTM(hidden, hidden).eval()
        if numbers != "float32":
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM})
        for batch in BATCHES:
            x = torch.rand(steps, batch, hidden)
            with torch.inference_mode():
                yield row(hidden, steps, batch, timed(lambda m=model, x=x: m(x)))  # type: ignore[misc]


def _of_onnx(numbers: str, threads: int) -> Iterator[dict[str, Any]]:
    """Time ONNX Runtime's LSTM, or its DynamicQuantizeLSTM."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    rng = np.random.default_rng(0)
    for hidden, steps in SIZES:
        data = _model(hidden, rng)
        if numbers != "float32":
            data = _quantised(data)
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
        for batch in BATCHES:
            x = rng.random((steps, batch, hidden), np.float32)
            once = lambda s=session, x=x: s.run(None, {"x": x})  # noqa: E731
            yield row(hidden, steps, batch, timed(once))


def _model(hidden: int, rng: Any) -> bytes:
    """Make an ONNX file of one LSTM with drawn weights."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    ends = hidden**-0.5
    shapes = {"w": (1, 4 * hidden, hidden), "r": (1, 4 * hidden, hidden), "b": (1, 8 * hidden)}
    held = [
        numpy_helper.from_array(rng.uniform(-ends, ends, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    node = helper.make_node("LSTM", ["x", *shapes], ["y"], hidden_size=hidden)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y"))
    graph = helper.make_graph([node], "lstm", [x], [y], held)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def _quantised(data: bytes) -> bytes:
    """Let ONNX Runtime's own tool make int8 of it."""
    import tempfile

    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "a.onnx").write_bytes(data)
        quantize_dynamic(place / "a.onnx", place / "b.onnx", op_types_to_quantize=["LSTM"])
        return (place / "b.onnx").read_bytes()


def _main(library: str, numbers: str, threads: str) -> None:
    """Measure one library in this process and print its rows."""
    warnings.simplefilter("ignore")
    each = {"PyTorch": _of_torch, "ONNX Runtime": _of_onnx}[library]
    print(json.dumps(list(each(numbers, int(threads)))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
