"""AMD's tools: how they are found, in the environment of their settings script, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import tools

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
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    own = os.path.join(clean.pop("VIRTUAL_ENV", "/none"), "bin")
    places = clean.get("PATH", "").split(os.pathsep)
    clean["PATH"] = os.pathsep.join(place for place in places if place != own)
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


def find(
    commands: Sequence[Sequence[str]], env: Mapping[str, str], otherwise: str
) -> tuple[list[str], str]:
    """Find a tool.

    Args:
        commands: name and options by which releases know it, the newest first.
        env: from ``environment``.
        otherwise: what can be done without it.

    Returns:
        The command that runs a script put behind it, and the release, such as ``2024.1``: what the
        tool says, or else the folder that it was installed in.

    Raises:
        ToolError: no tool, or one that is too old or does not say what it is.
    """
    for name, *options in commands:
        tool = shutil.which(name, path=env.get("PATH", ""))
        if tool:
            done = _done([tool, "-version"], env)
            said = re.search(r"\bv(\d{4}\.\d)", done.stdout + done.stderr)
            said = said or re.search(r"/(20\d\d\.\d)/", os.path.realpath(tool))
            if said and said[1] >= RELEASES[0]:
                return [tool, *options], said[1]
            found = f"is of release {said[1]}" if said else "does not say its release"
            raise ToolError(f"{tool} {found}; {' to '.join(RELEASES)} are supported")
    names = " or ".join(name for name, *_ in commands)
    raise ToolError(
        f"{names} is not on PATH: install it and name its settings64.sh in {SETTINGS}; without it "
        f"{otherwise}"
    )


def run(
    tool: str,
    release: str,
    command: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str],
    mark: str,
) -> tuple[int, str, list[str]]:
    """Run a tool in its log's folder.

    Args:
        tool: what it is called.
        release: from ``find``; said if it is newer than the scripts.
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
    said: list[str] = []

    def each(line: str) -> None:
        if line.startswith(mark):
            said.append(line.removeprefix(mark).strip())
            print(f"  {said[-1]}", flush=True)

    status, text = tools.follow(command, log.parent, log, env, each=each)
    return status, text, said


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


def _done(command: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; what is no text in its output stays as it is."""
    none, how = subprocess.DEVNULL, "surrogateescape"
    return subprocess.run(
        command, env=env, stdin=none, capture_output=True, encoding="utf-8", errors=how
    )
