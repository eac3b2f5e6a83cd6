"""What Sphinx does not do of itself for the documentation's site: an extension of it.

The contents are those of docs/README.md, the page of commands is what ``--help`` knows, and the
first of each of the glossary's words on a page tells what it means and leads to the glossary.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import shutil
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

from lstm_sharp import cli

COMMANDS, GLOSSARY, LIST = "docs/commands", "docs/glossary", "docs/README"
"""Pages that are more than their text."""
EVERYDAY = (
    *("block", "call", "finish", "front", "part", "pass", "piece", "reach", "run", "shape", "span"),
    *("turn", "whole", "word", "work", "D", "K", "M", "N", "P"),
)
"""Words of the glossary that mostly mean on a page what they mean everywhere."""
_LISTED = re.compile(r"^\| \[([^]]+)\]\(([^)]+)\.md\)", re.M)
_WORD = re.compile(r"^\| (?!word \|)(?!-)([^|]+) \| ([^|]+) \|$", re.M)
_NOT_HERE = (nodes.title, nodes.table, nodes.reference, nodes.literal, nodes.FixedTextElement)
"""Where no word is explained: a heading, what scrolls in a box of its own, a link, code."""


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
    return _plain((action.help or "").replace("%%", "%"))


def _plain(text: str) -> str:
    """Make Markdown of a text, that shows all of its characters as they are."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", text)


def words(glossary: str) -> dict[str, str]:
    """Return the glossary's words and what each means, from the page's Markdown."""
    return {
        word.strip(" *`"): re.sub(r"[`*]|\]\([^)]*\)|\[", "", meaning)
        for row, meaning in _WORD.findall(glossary)
        for word in row.split(",")
    }


def _anchor(word: str) -> str:
    return "word-" + nodes.make_id(word)


def _read_page(app: Any, name: str, source: list[str]) -> None:
    """Complete the text of two pages."""
    if name == app.config.root_doc:
        listed = Path(app.srcdir, LIST + ".md").read_text(encoding="utf-8")
        source[0] += contents(listed, posixpath.dirname(LIST))
    elif name == COMMANDS:
        source[0] += "\n".join(commands(cli.parser()))


def _mark_words(app: Any, tree: nodes.document) -> None:
    """Give each row of the glossary an anchor for each of its words."""
    if app.env.docname == GLOSSARY:
        for row in tree.findall(nodes.row):
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
