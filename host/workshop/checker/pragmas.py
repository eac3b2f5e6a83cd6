"""The grammar of ``#pragma HLS``, and how pragmas get into a syntax tree.

Clang drops pragmas that it does not know. So each is replaced, on its own line, by a declaration
that names the same variables and numbers: the tree then tells in which scope it stands, Clang
itself looks its names up and works its numbers out, and ``#if`` decides whether it is there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MARK = "hls_pragma_"
"""Begins the name of every constant that stands for a pragma."""
_PRAGMA = re.compile(r"^[ \t]*#[ \t]*pragma\b((?:.*\\\n)*.*)$", re.MULTILINE)
# Name, where it stands (directly in the body of a loop, a function, the top function, or anywhere
# in a function), options: numbers from the least, words, names. `*` must be, `[word]` stands alone.
_TABLE = """
PIPELINE loop II>=1 style=stp|frp|flp [rewind]
UNROLL loop factor>=2
LOOP_TRIPCOUNT loop *min>=0 *max>=1
DEPENDENCE loop *variable *type=inter|intra *direction=RAW|WAR *distance>=1 *dependent=true|false
ARRAY_PARTITION anywhere *variable *type=complete|cyclic|block factor>=2 dim>=0
ARRAY_RESHAPE anywhere *variable *type=complete|cyclic|block factor>=2 dim>=0
BIND_STORAGE anywhere *variable *type=ram_1p|ram_2p|ram_s2p|rom_1p|rom_np|fifo \
impl=bram|lutram|uram|srl|memory latency>=0
BIND_OP anywhere *variable *op=mul|add|sub *impl=dsp|fabric latency>=0
STREAM anywhere *variable *depth>=1 type=fifo|pipo
DATAFLOW function
INLINE function [off]
EXPRESSION_BALANCE function [off]
AGGREGATE function *variable compact=bit|byte|none|auto
INTERFACE/axis top *port register_mode=both|forward|reverse|off
INTERFACE/s_axilite top *port *bundle=control offset>=16
"""


class Directive(NamedTuple):
    """What may follow a directive's name, and where it stands."""

    where: str
    options: dict[str, int | tuple[str, ...] | None]  # the least number; words; None for a name
    required: list[str]


def _directive(line: str) -> tuple[str, Directive]:
    name, where, rest = f"{line} ".split(" ", 2)
    options: dict[str, int | tuple[str, ...] | None] = {}
    for key, sign, value in re.findall(r"([\w\[]+)\]?(?:(>?=)(\S+))?", rest):
        words = tuple(value.split("|")) if sign else () if key[0] == "[" else None
        options[key.strip("[")] = int(value) if sign == ">=" else words
    return name.replace("/", " "), Directive(where, options, re.findall(r"\*(\w+)", rest))


GRAMMAR = dict(map(_directive, _TABLE.strip().splitlines()))
"""What the kernel uses and its next version may; Vitis HLS 2022.2 to 2025.x all know it."""
_NONE = Directive("anywhere", {}, [])


@dataclass(eq=False)
class Pragma:
    """One pragma as it stands in a file, and in the tree once that is parsed."""

    path: str
    line: int
    text: str  # without "#pragma"
    directive: str = ""  # as in the grammar
    options: dict[str, str] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    where: str = "anywhere"  # loop, function: directly in the body
    block: Any = None  # loop or function that it lies in; is set by kernel.py, as what follows
    numbers: dict[str, int] = field(default_factory=dict)  # worked out by Clang
    names: dict[str, Any] = field(default_factory=dict)  # declarations, None for what is none

    @property
    def known(self) -> Directive:
        """What the grammar says of it."""
        return GRAMMAR.get(self.directive, _NONE)

    def values(self) -> Iterator[tuple[str, str]]:
        """Yield options for Clang to look at, and their values: names, and numbers."""
        for option, value in self.options.items():
            kind = self.known.options.get(option, ())
            if isinstance(kind, int) or (kind is None and value != "return"):
                yield option, f"({value})" if kind is not None else f"sizeof({value})"

    def problems(self) -> Iterator[str]:
        """What is wrong with it, wherever it stands."""
        known = self.known.options
        if not self.text.startswith("HLS "):
            yield f"'{self.text}' is no pragma of HLS; begin it with HLS, or take it away"
            return
        if self.directive not in GRAMMAR:
            yield f"{self.directive or 'it'} is unknown; write one of {', '.join(GRAMMAR)}"
            return
        for option, value in self.options.items():
            kind = known.get(option, ())
            if kind == ():
                yield f"{self.directive} has no option {option}; it has {', '.join(known)}"
            elif isinstance(kind, tuple) and value not in kind:
                yield f"{option} = {value} is unknown; write one of {', '.join(kind)}"
        for flag in self.flags:
            if known.get(flag) != ():
                yield f"'{flag}' is no word of {self.directive}; write OPTION = {flag}, or drop it"
        for option in self.known.required:
            if option not in self.options:
                yield f"{self.directive} lacks {option}; write {option} = ..."


def take_out(text: str, path: str, pragmas: list[Pragma]) -> str:
    """Replace the pragmas of a file by declarations, line for line.

    Args:
        text: of the file.
        path: of the file, kept in each ``Pragma``.
        pragmas: gets them; the number in a declaration is the place in this list.

    Returns:
        The text for Clang.
    """

    def declaration(match: re.Match[str]) -> str:
        words = re.sub(r"\s*=\s*", "=", match[1].replace("\\\n", " ").split("//")[0]).split()
        if words == ["once"]:
            return match[0]
        pragma = _read(path, text.count("\n", 0, match.start()) + 1, words)
        mark = f"{MARK}{len(pragmas)}"
        values = [f"{mark}_{option} = {value}" for option, value in pragma.values()]
        pragmas.append(pragma)
        return f"enum {{ {', '.join([mark, *values])} }};" + "\n" * match[0].count("\n")

    return _PRAGMA.sub(declaration, text)


def _read(path: str, line: int, words: list[str]) -> Pragma:
    pragma = Pragma(path, line, " ".join(words), "".join(words[1:2]).upper())
    pragma.options = dict(word.split("=", 1) for word in words[2:] if "=" in word)
    if pragma.directive == "INTERFACE":
        pragma.directive += f" {pragma.options.pop('mode', 'without mode')}"
    for word in (word for word in words[2:] if "=" not in word):
        # `complete` says `type = complete`; so do the words of other options
        of = [
            o
            for o, kind in pragma.known.options.items()
            if isinstance(kind, tuple) and word in kind
        ]
        if len(of) == 1 and of[0] not in pragma.options:
            pragma.options[of[0]] = word
        else:
            pragma.flags.append(word)
    return pragma
