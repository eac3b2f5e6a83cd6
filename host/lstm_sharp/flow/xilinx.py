"""AMD's tools: how they are found, in the environment of their settings script, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_sharp.errors import ToolError, UsageError

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
    done = _done(["bash", "-c", 'source "$0" >/dev/null && env -0', str(path)], clean)
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
        ToolError: it says none, or one before the first in ``RELEASES``.
    """
    done = _done([tool, "-version"], env)
    said = re.search(r"\bv(\d{4}\.\d)", done.stdout + done.stderr)
    if not said or said[1] < RELEASES[0]:
        found = f"is of release {said[1]}" if said else "does not say its release"
        raise ToolError(f"{tool} {found}; {' to '.join(RELEASES)} are supported")
    return said[1]


def run(
    tool: str,
    release: str,
    command: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str],
    mark: str,
) -> tuple[int, str, list[str]]:
    """Run a tool in its log's folder; its output goes to the log as it comes.

    Args:
        tool: what it is called.
        release: from ``release``; said if it is newer than the scripts.
        command: its words.
        log: a file.
        env: its environment.
        mark: begins the lines in which the script says where it is; these are printed.

    Returns:
        Its exit status, all its output, and what the script said, without the mark.
    """
    print(f"{tool} {release} ({command[0]}); its log: {log}", flush=True)
    if release > RELEASES[1]:
        print(f"written for {' to '.join(RELEASES)}; {release} is newer, going on", flush=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    said = []
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=log.parent,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            if line.startswith(mark):
                said.append(line.removeprefix(mark).strip())
                print(f"  {said[-1]}", flush=True)
    return process.returncode, log.read_text(encoding="utf-8"), said


def one(out: Path, name: str, what: str = "files {}", remedy: str = "") -> Path:
    """Find the one file of a name below a folder that a tool has filled.

    Raises:
        ToolError: there is none, or several.
    """
    found = sorted(out.glob(f"**/{name}"))
    if len(found) != 1:
        remedy = remedy or "run `make hls` again and see its log"
        raise ToolError(f"{len(found) or 'no'} {what.format(name)} below {out}; {remedy}")
    return found[0]


def _done(command: list[str | Path], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what is no text in its output stays as it is."""
    none, how = subprocess.DEVNULL, "surrogateescape"
    return subprocess.run(
        command, env=env, stdin=none, capture_output=True, encoding="utf-8", errors=how
    )


def _without_python(env: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in env.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    if "VIRTUAL_ENV" in env:
        own = os.path.join(env["VIRTUAL_ENV"], "bin")
        parts = env.get("PATH", "").split(os.pathsep)
        kept["PATH"] = os.pathsep.join(part for part in parts if part != own)
    return kept
