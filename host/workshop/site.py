"""The documentation's site (``make docs``), and what Sphinx does not do of itself for it.

As an extension: the contents are those of docs/README.md, the page of commands is what ``--help``
knows, and the first of each of the glossary's words on a page leads to what it means.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.cmd.build import build_main
from sphinx.util.nodes import make_refnode

from lstm_sharp import cli
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.terminal import Parser, ended
from workshop.results import DOCS

COMMANDS, GLOSSARY, LIST = "docs/commands", "docs/glossary", "docs/README"
"""Pages that are more than their text."""
EVERYDAY = (
    *("block", "call", "finish", "front", "part", "pass", "piece", "reach", "run", "shape", "span"),
    *("turn", "whole", "word", "work", "D", "K", "M", "N", "P"),
)
"""Words of the glossary that mostly mean on a page what they mean everywhere."""
_COMMENT = re.compile(r"^<!--.*?-->$", re.M | re.S)
_LISTED = re.compile(r"^\| \[([^]]+)\]\(([^)]+)\.md\)", re.M)
_WORD = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.M)
_NOT_HERE = (nodes.title, nodes.table, nodes.reference, nodes.literal, nodes.FixedTextElement)
"""Where no word is explained: a heading, what scrolls in a box of its own, a link, code."""


def main() -> int:
    """Build the site, or say what is wrong with a page."""
    parser = Parser(description="Build the documentation's site.")
    parser.add_argument(
        "output", type=Path, help="the folder it becomes; it takes an old one's place"
    )
    out = parser.parse_args().output
    return ended(partial(build, out))


def build(out: Path, source: Path = DOCS.parent) -> None:
    """Build the site; a link or a reference to nothing, and any other warning, is an error.

    Args:
        out: the folder that it becomes, whole or not at all.
        source: the folder of the pages.

    Raises:
        UsageError: there is something at ``out`` that is no site.
        ToolError: Sphinx has warned; on stderr it has said of what.
    """
    if out.exists() and not (out / "objects.inv").is_file():
        raise UsageError(f"{out} is there, and is no site: name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1"}  # else a terminal would shape the usages
    with tempfile.TemporaryDirectory(dir=out.parent) as made:
        site, kept = f"{made}/site", f"{made}/doctrees"
        how = ["--nitpicky", "--fail-on-warning", "--keep-going", "--quiet", "-j", "2"]
        if build_main([*how, "-c", str(DOCS), "-d", kept, str(source), site]):
            raise ToolError("the site was not built: see the warnings above")
        if out.exists():
            shutil.rmtree(out)
        Path(site).rename(out)
    print(f"{out}/index.html")


def contents(listed: str, folder: str) -> str:
    """Make the toctrees of a page that lists others in tables, one for each of its sections.

    Args:
        listed: its text.
        folder: where it lies, and what its links begin at.
    """
    told = ["", "```{toctree}", ":hidden:", "", f"All pages </{LIST}>", "```"]
    for section in listed.split("\n## ")[1:]:
        told += ["", "```{toctree}", ":hidden:", f":caption: {section.splitlines()[0]}", ""]
        for title, page in _LISTED.findall(section):
            told.append(f"{title} </{posixpath.normpath(posixpath.join(folder, page))}>")
        told.append("```")
    return "\n".join(told)


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Write what a parser's commands say of themselves as Markdown, a line after the other."""
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, command in found.choices.items():
        yield from ("", f"## {name}", "", _plain(cleandoc(command.description or "")), "")
        yield from ("```text", command.format_usage().strip(), "```", "")
        yield from (f"```{{program}} {command.prog}", "```", "")
        for action in command._actions:
            if action.help != argparse.SUPPRESS and action.dest != "help":
                yield from (f"````{{option}} {_written(action)}", _told(action), "````", "")


def _written(action: argparse.Action) -> str:
    """Tell how an option is written."""
    value = action.metavar or (action.choices and f"{{{','.join(map(str, action.choices))}}}")
    value = str(value or action.dest.upper()) if action.nargs != 0 else ""
    return ", ".join(f"{name} {value}".strip() for name in action.option_strings) or value


def _told(action: argparse.Action) -> str:
    return _plain((action.help or "") % vars(action))


def _plain(text: str) -> str:
    """Make Markdown of a text, that shows all of its characters as they are."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", text)


def words(glossary: str) -> dict[str, str]:
    """Return the glossary's words and what each means, from the page's Markdown."""
    return {
        word.strip(" *`"): re.sub(r"[`*]|\]\([^)]*\)|\[", "", meaning)
        for row, meaning in _WORD.findall(glossary)[1:]  # after the head
        for word in row.split(",")
    }


def _anchor(word: str) -> str:
    return "word-" + nodes.make_id(word)


def _read_page(app: Any, name: str, source: list[str]) -> None:
    """Leave out comments, line for line, and complete the text of two pages."""
    source[0] = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), source[0])
    if name == app.config.root_doc:
        listed = Path(app.srcdir, LIST + ".md").read_text(encoding="utf-8")
        source[0] += contents(listed, posixpath.dirname(LIST))
    elif name == COMMANDS:
        source[0] += "\n".join(commands(cli.parser()))


def _mark_words(app: Any, tree: nodes.document) -> None:
    """Give each row of the glossary an anchor for each of its words."""
    if app.env.docname == GLOSSARY:
        for body in tree.findall(nodes.tbody):
            for row in body.children:
                for word in row.children[0].astext().split(","):
                    row["ids"].append(_anchor(word.strip()))


def _explain_words(app: Any, tree: nodes.document, name: str) -> None:
    """Let the first of each of the glossary's words lead to its row, and tell what it says."""
    if name == GLOSSARY:
        return
    known = words(Path(app.srcdir, GLOSSARY + ".md").read_text(encoding="utf-8"))
    left = {word: known[word] for word in known if word not in EVERYDAY}
    for text in list(tree.findall(nodes.Text)):
        above, inside = text.parent, text.parent
        while inside is not None and not isinstance(inside, _NOT_HERE):
            inside = inside.parent
        if inside is not None or not left:
            continue
        longest = sorted(map(re.escape, left), key=len, reverse=True)
        parts = re.split(rf"(?<![\w-])((?:{'|'.join(longest)})s?)(?![\w-])", str(text))
        made: list[nodes.Node] = []
        for part in parts:
            word = part if part in left else part.removesuffix("s")
            if word in left:
                shown = nodes.inline("", part)
                link = make_refnode(app.builder, name, GLOSSARY, _anchor(word), shown)
                link["reftitle"] = left.pop(word)
                link["classes"].append("word")
                made.append(link)
            else:
                made.append(nodes.Text(part))
        if len(made) > 1:
            above.replace(text, made)


def _open_at_index(app: Any, error: Exception | None) -> None:
    """Let the site begin where browsers and servers look for its first page."""
    if error is None:
        shutil.copyfile(*(Path(app.outdir, f"{name}.html") for name in ("README", "index")))


def setup(app: Any) -> dict[str, Any]:
    """Take part in a build of the site."""
    app.connect("source-read", _read_page)
    app.connect("doctree-read", _mark_words)
    app.connect("doctree-resolved", _explain_words)
    app.connect("build-finished", _open_at_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main())
