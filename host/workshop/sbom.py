"""``make sbom``: what an installed package consists of, as CycloneDX, with everybody's licence.

Listed is what the environment has of lstm-sharp's extras and of all that these need; packages of
tests and checks are no part of it. The same environment gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from lstm_sharp.terminal import Parser, ended, say

NAME = "lstm-sharp"
EXTRAS = ("cluster", "draw", "graph", "shell", "sim", "synth", "train", "virtual")
"""What people install; the others are the repository's own."""
_LONGEST = 60
"""Characters of a field that names a licence; longer ones hold its text."""


def main() -> int:
    """Write the list, and print it."""
    parser = Parser(description=__doc__.splitlines()[0])
    default = f"dist/{NAME.replace('-', '_')}-{metadata.version(NAME)}.cdx.json"
    parser.add_argument("-o", "--output", metavar="FILE", default=default)
    out = parser.parse_args().output
    return ended(lambda: _write(Path(out)))


def _write(out: Path) -> None:
    out.parent.mkdir(exist_ok=True)
    made, absent = bom()
    files.write_text(str(out), json.dumps(made, indent=1) + "\n")
    for one in made["components"]:
        licence = one["licenses"][0]["license"]["name"]
        say(f"{one['name']:<28}{one['version']:<20}{licence}")
    say(f"{out}: {len(made['components'])} packages")
    if absent:
        say(f"not installed here, so not listed: {', '.join(absent)}")


def bom() -> tuple[dict[str, Any], list[str]]:
    """Return the list, as CycloneDX 1.6 has it, and the names that are needed and not installed.

    Raises:
        UsageError: a package that tells no licence.
    """
    found: dict[str, metadata.Distribution] = {}
    needs: dict[str, set[str]] = {}
    absent = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    left: list[tuple[str, frozenset[str]]] = [(NAME, frozenset(EXTRAS))]
    while left:
        name, extras = left.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            absent.add(name)
            continue
        for line in found[name].requires or ():
            need = Requirement(line)
            marks = [{"extra": extra} for extra in (*extras, "")]
            if need.marker is None or any(map(need.marker.evaluate, marks)):
                own = canonicalize_name(need.name)
                needs.setdefault(name, set()).add(own)
                left.append((own, frozenset(need.extras)))
    root = found.pop(NAME)
    everything = sorted({**found, NAME: root}.items())
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(NAME, root)},
        "components": [_component(name, one) for name, one in sorted(found.items())],
        "dependencies": [
            {
                "ref": _ref(name, one),
                "dependsOn": [_ref(n, found[n]) for n in sorted(needs.get(name, set()) & {*found})],
            }
            for name, one in everything
        ],
    }
    return made, sorted(absent)


def _ref(name: str, one: metadata.Distribution) -> str:
    return f"pkg:pypi/{name}@{one.version}"


def _component(name: str, one: metadata.Distribution) -> dict[str, Any]:
    return {
        "type": "library",
        "name": name,
        "version": one.version,
        "bom-ref": _ref(name, one),
        "purl": _ref(name, one),
        "licenses": [{"license": {"name": _licence(name, one)}}],
    }


def _licence(name: str, one: metadata.Distribution) -> str:
    """Return what a package says of its licence: an SPDX expression, a name, or its classifiers."""
    told = one.metadata.get_all("License-Expression") or one.metadata.get_all("License") or []
    short = [t for t in told if t and t != "UNKNOWN" and "\n" not in t and len(t) <= _LONGEST]
    classes = [
        line.split(" :: ")[-1]
        for line in one.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ") and not line.endswith(" :: OSI Approved")
    ]
    if not short and not classes:
        raise UsageError(f"{name} {one.version} tells no licence; look what it is under")
    return short[0] if short else " or ".join(classes)


if __name__ == "__main__":
    sys.exit(main())
