"""Every snippet of the README and of the pages that one starts with runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from lstm_sharp.flow import verilate

pytest.importorskip("pynq")
ROOT = Path(__file__).parents[2]
TUTORIALS = [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/tutorials/*.md"))]
FIRST = "docs/tutorials/first-model.md"
PAGES = [
    *("README.md", "docs/rtl.md", "docs/api.md", "docs/training.md", "docs/adding-a-board.md"),
    *TUTORIALS,
]
RUNS = {"python", "sh"}
NOT_HERE = {"a fresh clone": 3, "Vitis": 3, "a board": 1}
"""What snippets need that no test has, and how many do: CI's first steps, AMD's tools, a board."""
STAND_INS = {"PyTorch": "torch", "Keras": "keras"}
"""What a page may need, and the module that tests/pages stands in for where it is missing."""
_BLOCK = re.compile(r"(?:<!-- needs: ([^>]*) -->\n)?```(\w*)\n(.*?)```", re.DOTALL)
_NAMED = re.compile(r"# (\w+\.py)\n")


class Snippet(NamedTuple):
    """A block of a page."""

    needs: str
    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that the reader is to write it to; empty if it is run as it is."""
        found = _NAMED.match(self.text)
        return found[1] if found else ""


def snippets(page: str) -> list[Snippet]:
    return [Snippet(*found) for found in _BLOCK.findall((ROOT / page).read_text())]


def test_only_what_no_test_has_is_left_out() -> None:
    every = [(page, one) for page in PAGES for one in snippets(page)]
    assert {one.language for _, one in every} == RUNS
    needs = [one.needs for _, one in every if one.needs and one.needs not in STAND_INS]
    assert {need: needs.count(need) for need in needs} == NOT_HERE
    for page, one in every:
        if one.file and not one.needs:
            shell = "".join(other.text for other in snippets(page) if other.language == "sh")
            assert one.file in shell, f"{page}: nothing runs {one.file}"


@pytest.mark.rtl
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_it_stands(page: str, with_engines: Path) -> None:
    simulator = Path(verilate.verilator_of(verilate.environment())).parent
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, simulator, os.environ["PATH"])))
    places = [str(ROOT / "host")]
    begun = snippets(FIRST)[1:2] if page == "README.md" else []  # it takes a model of the reader's
    for one in [*begun, *snippets(page)]:
        if one.needs in NOT_HERE:
            continue
        if one.needs and find_spec(STAND_INS[one.needs]) is None:
            places.append(str(ROOT / "tests" / "pages"))
        file = with_engines / (
            one.file or ("snippet.py" if one.language == "python" else "snippet.sh")
        )
        file.write_text(one.text)
        if one.file and not one.needs:
            continue  # a shell snippet runs it
        run = (
            [sys.executable, file]
            if one.language == "python"
            else ["bash", "-euo", "pipefail", file]
        )
        done = subprocess.run(
            run,
            cwd=with_engines,
            env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(places)},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"{page}:\n{one.text}\n{done.stdout}{done.stderr}"
        del places[1:]
