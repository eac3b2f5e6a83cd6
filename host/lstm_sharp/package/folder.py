"""A package's folder: what its files are called, how they are written, read and checked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lstm_sharp import files
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.files import why

VERSION = 3
"""Of the format; a reader refuses any other."""
ABOUT = "package.json"
GRAPH = "graph.json"
"""What tells a package of a whole graph, see package/graphs.py."""
_MARK = "lstm_sharp_package"
"""The key that tells a package from other JSON; its value is the version."""
MODEL, VECTORS, HEAD = "model.npz", "vectors.npz", "head.npz"
QUALIFICATION = "qualification.json"
"""What `make qualify` puts into a package: how its overlay was built."""
SCRIPT = "run.py"
_OURS = re.compile(
    "|".join(map(re.escape, (ABOUT, MODEL, VECTORS, HEAD, QUALIFICATION, SCRIPT)))
    + r"|[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.(?:bit|hwh)"
)
"""All files that are ever written into a package; the overlay has its config's name."""
SCRIPT_TEXT = b'''"""Run this package's test on the board: python run.py [--overlay FILE.bit]."""

import sys
from pathlib import Path

try:
    from lstm_sharp.driver.proof import main
except ImportError as error:
    print(f"{error}: install lstm-sharp here with pip install --no-deps", file=sys.stderr)
    sys.exit(2)

sys.exit(main(Path(__file__).parent))
'''


def write(folder: Path, about: Mapping[str, object], contents: Mapping[str, bytes]) -> None:
    """Write files, and what is known of them with their SHA-256."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    text = json.dumps({_MARK: VERSION, **about, "files": sums}, indent=2) + "\n"
    for name, data in {**contents, ABOUT: text.encode()}.items():
        assert _OURS.fullmatch(name), name
        (folder / name).write_bytes(data)


def read(folder: Path, needed: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read package.json and all files that it lists, and hold each against its sum.

    Args:
        folder: the package.
        needed: files that it must list.

    Raises:
        UsageError: no package, another version, a file that is missing or was changed.
    """
    path = folder / ABOUT
    if not path.exists() and (folder / GRAPH).is_file():
        raise UsageError(
            f"{folder} is a package of a whole graph; driver.GraphAccelerator runs it, and each "
            "part in it is a package"
        )
    about = files.parse_json(_read_file(path), str(path))
    if not isinstance(about, dict) or _MARK not in about:
        raise UsageError(f"{path} is of something else: it lacks {_MARK!r}")
    version, sums = about[_MARK], about.get("files")
    if version != VERSION:
        older = type(version) is int and version < VERSION
        made_by = f"use the version that made it, {about.get('creator')!r:.40}"
        raise UsageError(
            f"{folder} is a package of version {version!r:.20}, this is a reader of version "
            f"{VERSION}; {'make the package again with this version' if older else made_by}"
        )
    listed = sums if isinstance(sums, dict) else {}
    wrong = [name for name in listed if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]
    wrong += [name for name in needed if name not in listed]
    if wrong:
        raise UsageError(
            f"{path}: files must list {' and '.join(needed)} by plain names, {wrong[0]!r:.40} is "
            "wrong; make the package again"
        )
    contents: dict[str, bytes] = {}
    for name, digest in listed.items():
        contents[name] = _read_file(folder / name)
        files.check_size(sum(map(len, contents.values())), str(folder))
        if hashlib.sha256(contents[name]).hexdigest() != digest:
            raise UsageError(
                f"{folder / name} is not as it was written (its SHA-256 differs); copy or make the "
                "package again"
            )
    return about, contents


def _read_file(path: Path) -> bytes:
    try:
        return files.read_bytes(path)
    except UsageError as error:
        raise UsageError(f"{error}; give the folder of a package") from None


def read_overlay(bit: str | Path, cfg: Config) -> dict[str, bytes]:
    """Read a config's overlay, to be called ``NAME.bit`` and ``NAME.hwh`` in a package.

    Raises:
        UsageError: one of its two files cannot be read, or it has another engine.
    """
    both = {end: Path(bit).with_suffix(end) for end in (".bit", ".hwh")}
    try:
        joined = {cfg.name + end: files.read_bytes(path) for end, path in both.items()}
    except UsageError as error:
        raise UsageError(f"{error}; an overlay is a .bit and a .hwh of one name") from None
    has = overlay_engine(bit)
    if has != cfg.engine:
        raise UsageError(
            f"{bit} has the {has} engine, and the package is to be for {cfg.engine}; name an "
            f"overlay with that one, or make the package with --engine {has}"
        )
    return joined


def overlay_engine(bit: str | Path) -> str:
    """Name the engine of an overlay, hls or sv, by what its ``.hwh`` calls it.

    Raises:
        UsageError: the ``.hwh`` cannot be read, or does not name one engine.
    """
    hwh = Path(bit).with_suffix(".hwh")
    text = files.read_bytes(hwh)
    with files.refusing(f"{hwh} is no hardware handoff", "name another overlay"):
        names = [module.get("VLNV") for module in ElementTree.fromstring(text).iter("MODULE")]
    found = [engine for engine, vlnv in ENGINE_VLNVS.items() for name in names if name == vlnv]
    if len(found) != 1:
        raise UsageError(
            f"{hwh} names {len(found)} LSTM-Sharp engines, 1 is needed; name another overlay"
        )
    return found[0]


def check_target(target: Path) -> None:
    """Refuse to replace what is not ours.

    What a package holds is told by names from here. Its package.json can only make them fewer.

    Raises:
        UsageError: a file, or a folder that holds something that no package of ours holds.
    """
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; name a folder")
    try:
        about = files.read_json(target / ABOUT)
        listed = {ABOUT, *about["files"]} if _MARK in about else set()
    except (UsageError, KeyError, TypeError):
        listed = set()
    try:
        with os.scandir(target) as entries:
            others = [
                entry.name
                for entry in entries
                if not (entry.name in listed and _OURS.fullmatch(entry.name))
                or not entry.is_file(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return  # another process is putting a package of its own in this place
    if others:
        raise UsageError(
            f"{target} holds {min(others)}, which is not of a package; name a new folder"
        )
    if target.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UsageError(f"{target} is the current folder or above it; name another")
    if not os.access(target, os.W_OK):
        raise UsageError(f"{target} is not to be written to; change its permissions")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a folder to write to, and put it in target's place once it is complete.

    Of what was there, files are deleted by the names that ``check_target`` lets through.

    Raises:
        UsageError: it cannot be written; what was there is there still.
    """
    beside, old = (target.with_name(f".lstm-sharp-{secrets.token_hex(8)}") for _ in range(2))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        yield beside
        with ExitStack() as held:
            held.callback(os.close, lock := os.open(target.parent, os.O_RDONLY))
            fcntl.flock(lock, fcntl.LOCK_EX)  # other processes put packages into it, too
            if target.exists():
                beside.chmod(target.stat().st_mode)
                target.rename(old)
                check_target(old)  # again: it has taken a while
            beside.rename(target)
            if old.exists():
                for path in old.iterdir():
                    if _OURS.fullmatch(path.name):
                        path.unlink()
                old.rmdir()
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({why(error)})") from None
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(beside, ignore_errors=True)
