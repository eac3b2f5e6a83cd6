"""External tools: found on PATH or named in one line, and run with their output kept in a log."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.terminal import Progress


def need(tool: str) -> Path:
    """Find a tool on PATH.

    Raises:
        ToolError: it is not there; the text names the command that installs it.
    """
    found = shutil.which(tool)
    if found is None:
        raise ToolError(f"{tool} not found; install it with: sudo apt-get install {tool}")
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


def follow(
    command: Sequence[str | Path],
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    keeps: Sequence[int] = (),
    each: Callable[[str], object] | None = None,
) -> tuple[int, str]:
    """Run a command in a folder; what it prints goes to ``log`` as it comes.

    Args:
        command: its words; the log's first line.
        cwd: the folder.
        log: a file.
        env: its environment, by default ours.
        keeps: file descriptors that it inherits.
        each: is told each line.

    Returns:
        Its exit status, and all that it printed.
    """
    words, said = [str(part) for part in command], []
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            pass_fds=keeps,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        file.write(" ".join(words) + "\n")
        for line in process.stdout:
            file.write(line)
            file.flush()
            said.append(line)
            if each:
                each(line)
    return process.returncode, "".join(said)


def complaint(said: str) -> str:
    """Return the first line of an output that speaks of an error, or else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    return next((line for line in lines if "error" in line.lower()), lines[-1])


def run(
    command: Sequence[str | Path],
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    keeps: Sequence[int] = (),
) -> str:
    """Return what ``follow`` gives of a command that must not fail.

    Raises:
        ToolError: it does.
    """
    status, said = follow(command, cwd, log, env, keeps)
    if status:
        name = Path(command[0]).name
        raise ToolError(f"{name} failed with status {status}: {complaint(said)} (see {log})")
    return said


def build(
    target: Path,
    sources: Sequence[Path],
    command: Sequence[str | Path],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    seconds: float = 1,
) -> Path:
    """Run the command that makes a target, unless the same made it from the same sources.

    Of several processes that want it one makes it, and the others wait. The command writes to
    ``fresh(target.name)``; what it made then takes the target's place in one step, also where the
    old one is being run. ``seconds`` is what it takes, about.

    Raises:
        ToolError: the command failed.
    """
    made_from = digest(sources, "\0".join(str(part) for part in command))
    stamp = target.with_name(target.name + ".made-from")
    with alone(target) as lock:
        if target.is_file() and stamp.is_file() and stamp.read_text() == made_from:
            return target
        stamp.unlink(missing_ok=True)
        with Progress(f"compiling {target.name} for {cwd.name}, once").expecting(seconds):
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
