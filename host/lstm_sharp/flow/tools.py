"""External tools: found on PATH or named in one line, and run with their output kept in a log."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError

_INSTALL = {
    "g++": "sudo apt-get install g++",
    "make": "sudo apt-get install make",
    "perl": "sudo apt-get install perl",
    "verilator": "make setup, or put a Verilator >= 5.036 on PATH",
    "vitis-run": "AMD's installer (Vitis), then source its settings64.sh",
    "vitis_hls": "AMD's installer (Vitis HLS), then source its settings64.sh",
    "vivado": "AMD's installer (Vivado), then source its settings64.sh",
}
_ERROR = re.compile(r"error", re.IGNORECASE)


def need(tool: str) -> Path:
    """Find a tool on PATH.

    Raises:
        ToolError: it is not there; the text names the command that installs it.
    """
    found = shutil.which(tool)
    if found is None:
        how = _INSTALL.get(tool, f"sudo apt-get install {tool}")
        raise ToolError(f"{tool} not found; install it with: {how}")
    return Path(found)


def build_folder(cfg: Config, root: Path | None = None) -> Path:
    """Folder in which everything made from a config lies: ``build/<name>-<digest>``."""
    return (root or Path("build")).resolve() / f"{cfg.name}-{cfg.digest}"


def clear(folder: Path, mark: Path) -> None:
    """Delete a folder that a tool has filled.

    Args:
        folder: what the tool named in it, it knows alone.
        mark: a file that is written before the tool is begun: without it the folder is not ours.

    Raises:
        UsageError: something is there without the mark, or it cannot be deleted.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir() or not mark.is_file():
        raise UsageError(f"{folder} is no folder of a tool's ({mark.name} lacks); move it away")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be deleted ({error.strerror})") from None


def run(
    command: Sequence[str | Path],
    cwd: Path,
    log: Path,
    env: dict[str, str] | None = None,
    keeps: Sequence[int] = (),
) -> str:
    """Run a command in a folder; what it prints goes to ``log`` and is returned.

    Args:
        command: its words.
        cwd: the folder.
        log: a file.
        env: its environment, by default ours.
        keeps: file descriptors that it inherits.

    Raises:
        ToolError: it failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        pass_fds=keeps,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    log.write_text(f"{' '.join(str(part) for part in command)}\n{done.stdout}", encoding="utf-8")
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        why = next((line for line in lines if _ERROR.search(line)), lines[-1] if lines else "")
        raise ToolError(
            f"{Path(command[0]).name} failed with status {done.returncode}: {why} (see {log})"
        )
    return done.stdout


def build(
    target: Path,
    sources: Sequence[Path],
    command: Sequence[str | Path],
    cwd: Path,
    env: dict[str, str] | None = None,
) -> Path:
    """Run the command that makes a target, unless the same made it from the same sources.

    Of several processes that want it one makes it, and the others wait. The command writes to
    ``fresh(target.name)``; what it made then takes the target's place in one step, also where the
    old one is being run.

    Raises:
        ToolError: the command failed.
    """
    made_from = digest(sources, "\0".join(str(part) for part in command))
    stamp = target.with_name(target.name + ".made-from")
    with alone(target) as lock:
        if target.is_file() and stamp.is_file() and stamp.read_text() == made_from:
            return target
        stamp.unlink(missing_ok=True)
        if sys.stderr.isatty():
            print(f"building {target.name} in {cwd}, once ...", file=sys.stderr)
        run(command, cwd, target.with_name(target.name + ".log"), env, [lock])
        os.replace(target.with_name(fresh(target.name)), target)
        stamp.write_text(made_from)
    return target


def fresh(name: str) -> str:
    """Return the name under which a command makes a file for ``build``."""
    return f"{name}.new"


@contextmanager
def alone(target: Path) -> Iterator[int]:
    """Keep other processes from building a target; one that ends, however it does, lets go.

    Yields a file descriptor. A command that inherits it keeps the others waiting where it outlives
    the process that started it, as a compiler may.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def digest(sources: Sequence[Path], text: str = "") -> str:
    """Hash what files hold, and a text, into hex digits."""
    made_from = hashlib.sha256(text.encode())
    for source in sources:
        made_from.update(source.read_bytes())
    return made_from.hexdigest()
