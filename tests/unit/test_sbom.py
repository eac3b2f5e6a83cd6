"""What an installed package consists of."""

from __future__ import annotations

import json
import re
from importlib.metadata import metadata
from pathlib import Path

from lstm_sharp import __version__
from lstm_sharp.errors import EXTRAS
from workshop import sbom

ROOT = Path(__file__).parents[2]


def test_it_lists_what_extras_bring_and_nothing_of_the_tests() -> None:
    made, absent = sbom.bom()
    names = {one["name"] for one in made["components"]}
    brought = {"setuptools" if m == "pkg_resources" else m.replace("_", "-") for m in EXTRAS}
    assert brought | {"numpy"} <= names | set(absent)
    assert not names & {"pytest", "ruff", "hypothesis", "sphinx"}
    assert made["metadata"]["component"]["version"] == __version__
    for one in made["components"]:
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert one["licenses"][0]["license"]["name"] not in ("", "UNKNOWN")
    listed = {one["bom-ref"] for one in [*made["components"], made["metadata"]["component"]]}
    edges = made["dependencies"]
    assert {one["ref"] for one in edges} == listed
    assert {ref for one in edges for ref in one["dependsOn"]} <= listed
    assert json.dumps(made) == json.dumps(sbom.bom()[0])


def test_the_extras_are_those_that_people_install() -> None:
    (line,) = re.findall(r"^all = \[\"lstm-sharp\[(.*)\]\"\]", _project(), re.M)
    assert set(line.split(",")) == set(sbom.EXTRAS) == set(EXTRAS.values())
    assert set(sbom.EXTRAS) <= set(metadata("lstm-sharp").get_all("Provides-Extra") or ())


def test_the_page_has_each_extra_and_what_it_brings() -> None:
    page = (ROOT / "docs" / "release.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))
    assert set(rows) == set(sbom.EXTRAS)
    for extra, cells in rows.items():
        packages, licences = cells.split(" | ")
        (line,) = re.findall(rf"^{extra} = \[(.*?)\](?: #[^\n]*)?$", _project(), re.M | re.S)
        own = set(re.findall(r"\"([a-z][\w-]*)", line)) - {"lstm-sharp"}
        told = {re.split(r"[ (]", one)[0] for one in packages.split("; ")}
        assert told == own and len(licences.split("; ")) == len(told), extra


def _project() -> str:
    return (ROOT / "pyproject.toml").read_text()
