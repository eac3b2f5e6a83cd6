"""Times of PyTorch's LSTM, which is cuDNN's, on a GPU: *measured*, and never yet."""

from __future__ import annotations

import datetime
import subprocess
from statistics import median
from typing import Any

from lstm_sharp.errors import ToolError
from workshop.paper.networks import flop

SIZES = ((256, 150), (512, 25), (1024, 25), (1536, 50), (2048, 25))
"""X = H and steps, of DeepBench; batch 1."""
_WARM, _RUNS = 20, 100
_CLOCKS = "name,clocks.sm,clocks.max.sm,clocks.mem,driver_version"


def check() -> Any:
    """Return torch if it sees a GPU.

    Raises:
        ToolError: it is not installed, or sees none.
    """
    try:
        import torch
    except ImportError as error:
        raise ToolError(
            f"no GPU can be timed without PyTorch ({error}); pip install torch"
        ) from None
    if not torch.cuda.is_available():
        raise ToolError("PyTorch sees no GPU here; leave out GPU=1, or run it where there is one")
    return torch


def study(torch: Any = None) -> dict[str, Any]:
    """Time all sizes in both number formats.

    Args:
        torch: the module, or what stands in for it in tests.

    Raises:
        ToolError: there is no GPU.
    """
    torch = torch or check()
    rows = [
        _row(torch, numbers, hidden, steps)
        for numbers in ("FP16", "FP32")
        for hidden, steps in SIZES
    ]
    return {
        "kind": "measured by us",
        "date": datetime.date.today().isoformat(),
        "card": torch.cuda.get_device_name(),
        "clocks": _clocks(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "rows": rows,
    }


def _row(torch: Any, numbers: str, hidden: int, steps: int) -> dict[str, Any]:
    """Time one LSTM at batch 1, each run between two events of the card's own clock."""
    dtype = {"FP16": torch.float16, "FP32": torch.float32}[numbers]
    model = torch.nn.LSTM(hidden, hidden).eval().to("cuda", dtype)
    x = torch.rand(steps, 1, hidden, device="cuda", dtype=dtype)
    with torch.inference_mode():
        taken = timed(torch, lambda: model(x))
    return {
        "numbers": numbers,
        "hidden": hidden,
        "steps": steps,
        "runs": len(taken),
        "median_ms": round(median(taken), 5),
        "least_ms": round(min(taken), 5),
        "gflops": round(steps * flop(hidden, hidden) / median(taken) / 1e6, 3),
    }


def timed(torch: Any, once: Any) -> list[float]:
    """Return the milliseconds of each run, after runs that warm up."""
    for _ in range(_WARM):
        once()
    torch.cuda.synchronize()
    pairs = []
    for _ in range(_RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        once()
        end.record()
        pairs.append((begin, end))
    torch.cuda.synchronize()
    return [float(begin.elapsed_time(end)) for begin, end in pairs]


def _clocks() -> str:
    """Ask the driver for the card's name and clocks while it is warm; empty if it does not say."""
    command = ["nvidia-smi", f"--query-gpu={_CLOCKS}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
