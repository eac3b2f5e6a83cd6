"""The folder of a package: ``package.json`` and the files that it lists, each with its sum."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError

VERSION = 2
"""Of the format; a reader refuses any other."""
ABOUT = "package.json"
_MARK = "lstm_sharp_package"
"""The key that tells a package from other JSON; its value is the version."""
SCRIPT = "run.py"
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
        (folder / name).write_bytes(data)


def read(folder: Path, needed: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read package.json and all files that it lists.

    Args:
        folder: the package.
        needed: files that it must list.

    Raises:
        UsageError: no package, another version, a file that is missing or was changed.
    """
    about = _read_about(folder)
    return about, _read_files(folder, about, needed)


def read_overlay(bit: str | Path, name: str) -> dict[str, bytes]:
    """Read an overlay, to be called ``NAME.bit`` and ``NAME.hwh`` in a package.

    Raises:
        UsageError: one of its two files cannot be read.
    """
    contents = {}
    for suffix in (".bit", ".hwh"):
        path = Path(bit).with_suffix(suffix)
        try:
            contents[name + suffix] = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read ({error.strerror}); an overlay is a .bit and a .hwh of one "
                "name"
            ) from None
    return contents


def overlay_engine(bit: str | Path) -> str:
    """Name the engine of an overlay, hls or sv, by what its ``.hwh`` calls it.

    Raises:
        UsageError: the ``.hwh`` cannot be read, or does not name one engine.
    """
    hwh = Path(bit).with_suffix(".hwh")
    try:
        modules = ElementTree.fromstring(hwh.read_bytes()).iter("MODULE")
    except OSError as error:
        raise UsageError(f"{hwh} cannot be read ({error.strerror})") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"{hwh} is no hardware handoff ({error}); name another overlay") from None
    names = [module.get("VLNV") for module in modules]
    found = [engine for engine, vlnv in ENGINE_VLNVS.items() for name in names if name == vlnv]
    if len(found) != 1:
        raise UsageError(
            f"{hwh} names {len(found)} LSTM-Sharp engines, 1 is needed; name another overlay"
        )
    return found[0]


def check_target(target: Path) -> None:
    """Refuse to replace what is not ours.

    Raises:
        UsageError: a file, or a folder that holds something that no package lists.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file; name a folder")
    try:
        about = json.loads((target / ABOUT).read_bytes())
        ours = {ABOUT, *about["files"]} if _MARK in about else set()
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        ours = set()
    others = {path.name for path in target.iterdir()} - ours
    if others:
        raise UsageError(
            f"{target} holds {min(others)}, which is not of a package; name a new folder"
        )


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a folder to write to, and put it in target's place once it is complete.

    Raises:
        UsageError: it cannot be written; what was there is there still.
    """
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    old = target.with_name(f"{beside.name}.old")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        yield beside
        if target.exists():
            target.rename(old)
        beside.rename(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror})") from None
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for left in (beside, old):
            shutil.rmtree(left, ignore_errors=True)


def _read_about(folder: Path) -> dict[str, Any]:
    """Read package.json as far as all versions have it."""
    data = _read_file(folder, ABOUT)
    try:
        about = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{folder / ABOUT} is not JSON ({error})") from None
    if not isinstance(about, dict) or _MARK not in about:
        raise UsageError(f"{folder / ABOUT} is of something else: it lacks {_MARK!r}")
    if about[_MARK] != VERSION:
        older = type(about[_MARK]) is int and about[_MARK] < VERSION
        made_by = f"use the version that made it, {about.get('creator')!r:.40}"
        raise UsageError(
            f"{folder} is a package of version {about[_MARK]!r:.20}, this is a reader of version "
            f"{VERSION}; {'make the package again with this version' if older else made_by}"
        )
    return about


def _read_files(folder: Path, about: Mapping[str, Any], needed: Sequence[str]) -> dict[str, bytes]:
    """Read all listed files, and hold each against its sum."""
    files = about.get("files")
    listed = files if isinstance(files, dict) else {}
    wrong = [name for name in listed if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]
    wrong += [name for name in needed if name not in listed]
    if wrong:
        raise UsageError(
            f"{folder / ABOUT}: files must list {' and '.join(needed)} by plain "
            f"names, {wrong[0]!r:.40} is wrong; make the package again"
        )
    contents = {name: _read_file(folder, name) for name in listed}
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != listed[name]:
            raise UsageError(
                f"{folder / name} is not as it was written (its SHA-256 differs); copy or make the "
                "package again"
            )
    return contents


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{folder / name} cannot be read ({error.strerror}); give the folder of a package"
        ) from None
