"""AMD's tools: the environment that their settings script makes, and what it has on its PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lstm_sharp.errors import UsageError

SETTINGS = "XILINX_SETTINGS"
"""Variable that names settings64.sh of an installation; without it PATH counts as it is."""


RELEASES = ("2022.2", "2025.2")
"""First and last release that scripts for the tools are written for."""


def environment(settings: str | None = None) -> dict[str, str]:
    """Return the environment to run AMD's tools in; the caller's stays as it is.

    A virtual environment and Python's variables are left out: the tools bring a Python of theirs.

    Args:
        settings: settings64.sh to source; None: what ``XILINX_SETTINGS`` names, if anything.

    Raises:
        UsageError: no such script, or it fails.
    """
    clean = _without_python(os.environ)
    script = settings or os.environ.get(SETTINGS)
    if not script:
        return clean
    path = Path(script).expanduser().resolve()
    if not path.is_file():
        raise UsageError(f"{script} is no file; {SETTINGS} names the tool's settings64.sh")
    done = subprocess.run(
        ["bash", "-c", 'source "$0" >/dev/null && env -0', str(path)],
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UsageError(f"{path} cannot be sourced ({lines[-1]}); {SETTINGS} names settings64.sh")
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)


def find(command: str, env: Mapping[str, str]) -> Path | None:
    """Look for a command on an environment's PATH; None if it is not there."""
    found = shutil.which(command, path=env.get("PATH", ""))
    return Path(found) if found else None


def release(tool: Path, env: Mapping[str, str]) -> str:
    """Return a tool's release, such as ``2024.1``.

    Raises:
        UsageError: it says none, or one before the first in ``RELEASES``.
    """
    done = subprocess.run(
        [tool, "-version"],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    said = re.search(r"\bv(\d{4}\.\d)", done.stdout + done.stderr)
    if not said or said[1] < RELEASES[0]:
        found = f"is of release {said[1]}" if said else "does not say its release"
        raise UsageError(f"{tool} {found}; {' to '.join(RELEASES)} are supported")
    return said[1]


def announce(tool: str, release: str, log: Path) -> None:
    """Say what is run, where its log lies, and if it is newer than the scripts."""
    print(f"{tool}; its log: {log}", flush=True)
    if release > RELEASES[1]:
        print(f"written for {' to '.join(RELEASES)}; {release} is newer, going on", flush=True)


def _without_python(env: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in env.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    if "VIRTUAL_ENV" in env:
        own = os.path.join(env["VIRTUAL_ENV"], "bin")
        parts = env.get("PATH", "").split(os.pathsep)
        kept["PATH"] = os.pathsep.join(part for part in parts if part != own)
    return kept
