"""The documentation's site: built strictly, whole by itself, and read in a browser."""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from browser import NONE, WIDTHS
from lstm_sharp import __all__ as exported
from lstm_sharp import cli, driver

pytest.importorskip("furo")
ROOT = Path(__file__).parents[2]
BROWSER = ROOT / "tests" / "browser.py"
LOOKED_AT = ["index", "docs/arrays", "docs/engine", "docs/commands", "docs/python", "docs/glossary"]
"""Pages of different kinds, which are opened in dark colours too."""
SEARCHED = {"wavefront": "docs/schedules.html", "throughput_test": "docs/python.html"}


class Page(HTMLParser):
    """What a page refers to, what may be referred to in it, and its words of the glossary."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.taken: list[str] = []
        self.anchors: set[str] = set()
        self.words: dict[str, str] = {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.anchors.add(told.get("id", ""))
        link = told.get("href", "") or told.get("src", "")
        if link and tag == "a":
            self.links.append(link)
        elif link:
            self.taken.append(link)
        if "word" in told.get("class", "").split():
            assert told["href"] not in self.words, "a word is explained once a page"
            self.words[told["href"]] = told["title"]


def build(out: Path, source: Path = ROOT, columns: int = 80) -> subprocess.CompletedProcess[str]:
    run = "import sys, pathlib, workshop.site as s; s.build(*map(pathlib.Path, sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", run, out, source],
        env={**os.environ, "PYTHONPATH": str(ROOT / "host"), "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "docs"
    done = build(out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout == f"{out}/index.html\n"
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_links_and_pictures_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 50
    for path, page in pages.items():
        for link in page.links + page.taken:
            if re.match(r"https?:|data:", link):
                continue
            file, anchor = urldefrag(unquote(link.split("?")[0]))
            to = (path.parent / file).resolve() if file else path
            assert to.is_file(), f"{path.name}: {link}"
            anchor = unquote(urldefrag(link)[1])
            assert not anchor or anchor in pages[to].anchors, f"{path.name}: {link}"


def test_nothing_is_taken_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [link for link in page.taken if re.match(r"\w+:|//", link)], path
        assert not re.search(r"<!-- (table|needs|end)", path.read_text(encoding="utf-8")), path
    for path in site.rglob("*.css"):
        for told in re.findall(r"(?:url|@import)\(?\s*['\"]?([^'\")]*)", path.read_text()):
            assert told.startswith("data:") or "//" not in told, path


def test_every_page_is_there(site: Path) -> None:
    for folder in ("docs", "docs/tutorials"):
        for path in (ROOT / folder).glob("*.md"):
            assert (site / folder / path.with_suffix(".html").name).is_file(), path
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()


def test_reference_has_every_command_and_name(site: Path, pages: dict[Path, Page]) -> None:
    anchors, known = pages[site / "docs/commands.html"].anchors, 0
    (commands,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        assert name in anchors
        for action in command._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert f"cmdoption-lstm-sharp-{name}-{option.lstrip('-')}" in anchors
                known += 1
    assert known > 80
    names = pages[site / "docs/python.html"].anchors
    assert {f"lstm_sharp.{name}" for name in exported if name != "UsageError"} <= names
    missing = {f"lstm_sharp.driver.{name}" for name in driver.__all__} - names
    assert missing == {"lstm_sharp.driver.BoardError"} and "lstm_sharp.errors.BoardError" in names


def test_words_of_the_glossary_are_explained(site: Path, pages: dict[Path, Page]) -> None:
    told = pages[site / "docs/engine.html"].words
    assert len(told) > 10
    assert told["glossary.html#word-mfu"] == "activation functions and the update of c and h"
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.M)[1:]
    anchors = pages[site / "docs/glossary.html"].anchors
    assert len([a for a in anchors if a.startswith("word-")]) == ",".join(rows).count(",") + 1
    assert not pages[site / "docs/glossary.html"].words


def small(source: Path, **pages: str) -> Path:
    """Make pages of a small site: a list of them, and whatever a test wants."""
    listed = "\n".join(f"| [{name}]({name}.md) | |" for name in ("glossary", "commands", "page"))
    glossary = "# Glossary\n\n| word | means |\n|---|---|\n| tile, tap | *one* thing |\n"
    page = "# Page\n\nA tile, `tap`, and two tiles [more](glossary.md).\n"
    told = {"README": f"# All\n\n## List\n\n| page | |\n|---|---|\n{listed}\n"}
    told |= {"glossary": glossary, "commands": "# Commands\n", "page": page, **pages}
    (source / "docs").mkdir(parents=True)
    (source / "README.md").write_text("# Front\n\n[all](docs/README.md)\n")
    for name, text in told.items():
        (source / f"docs/{name}.md").write_text(text)
    return source


def test_a_site_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = small(tmp_path / "pages")
    for columns in (50, 200):  # of the terminal; the second takes the place of the first
        if (tmp_path / "a").exists():
            shutil.copytree(tmp_path / "a", tmp_path / "b")
        done = build(tmp_path / "a", source, columns)
        assert (done.returncode, done.stderr) == (0, "")
    found = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*"))
    assert found == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*"))
    files = [str(path) for path in found if (tmp_path / "a" / path).is_file()]
    _, *other = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)
    assert other == [[], []] and sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "pages"]
    (tile,) = Page(tmp_path / "a/docs/page.html").words.items()
    assert tile == ("glossary.html#word-tile", "one thing")


def test_what_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    wrong = "# Page\n\n[a](nowhere.md) [b](glossary.md#nothing) ![c](none.png) {py:class}`no.No`\n"
    source = small(tmp_path / "pages", page=wrong, unlisted="# In no list\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    done = build(tmp_path / "out", source)
    assert "is there, and is no site" in done.stderr and (tmp_path / "out" / "mine").is_file()
    done = build(tmp_path / "new", source)
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    for named in ("nowhere.md", "nothing", "none.png", "no.No", "unlisted.md"):
        assert len([line for line in warnings if named in line]) == 1, done.stderr
    assert len(warnings) == 5
    assert done.returncode and not (tmp_path / "new").exists()


def opened(site: Path, scheme: str, names: list[str]) -> dict:
    """Open pages in Chromium, in a process of its own, which knows one colour scheme."""
    first, *more = (f"{site}/{name}" for name in names)
    command = [sys.executable, BROWSER, first, site.parent, scheme, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode == NONE:
        pytest.skip(f"no Chromium here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["console"] == []
    assert all(url.startswith((site.as_uri(), "data:")) for url in told["requests"])
    assert len(told["seen"]) == len(names)
    for page, widths in told["seen"].items():
        for width, seen in widths.items():
            where = f"{page}, {width} wide, {scheme}"
            assert seen["loaded"] and seen["width"] == int(width) and int(width) in WIDTHS
            assert seen["scrolls"] == seen["width"], f"{where}: the page scrolls sideways"
            assert seen["broken"] == [], where
            assert seen["dark"] == (scheme == "dark")
            for colours in seen["colours"]:
                assert contrast(*colours.split(" on ")) >= 4.5, f"{where}: {colours}"
    return told["seen"]


def contrast(*colours: str) -> float:
    """WCAG's ratio of two colours as a browser tells them."""
    found = []
    for colour in colours:
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        found.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(found) + 0.05) / (min(found) + 0.05)


def test_contrast() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)


def test_in_chromium(site: Path, pages: dict[Path, Page]) -> None:
    names = [str(path.relative_to(site)) for path in pages if path.name != "search.html"]
    seen = opened(site, "light", [*names, *(f"search.html?q={word}" for word in SEARCHED)])
    for word, page in SEARCHED.items():
        for width in map(str, WIDTHS):
            found = seen[f"{site}/search.html?q={word}"][width]["found"]
            assert page in {link.split("#")[0].split("?")[0] for link in found}, (word, found)


def test_in_dark_chromium(site: Path) -> None:
    opened(site, "dark", [f"{name}.html" for name in LOOKED_AT])
