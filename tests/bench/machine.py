"""Where figures come from: machine, versions and the state of the sources."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lstm_sharp.flow import tools


def describe(root: Path) -> dict[str, Any]:
    """Return the part of the results that does not depend on what is run."""
    commit = _say("git", "-C", str(root), "rev-parse", "HEAD")
    changes = _say("git", "-C", str(root), "status", "--porcelain")
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit,
        "dirty": bool(changes),
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "hls4ml", "keras")},
            "g++": _say(str(tools.need("g++")), "-dumpfullversion"),
        },
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
    }


def _say(*command: str) -> str | None:
    """Return what a command prints; None where there is no such command or it fails."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.machine()
