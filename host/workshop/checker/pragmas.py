"""The grammar of ``#pragma HLS``, and how pragmas get into a syntax tree.

Clang drops pragmas that it does not know. So each is replaced, on its own line, by a declaration
that names the same variables and numbers: the tree then tells in which scope it stands, Clang
itself looks its names up and works its numbers out, and ``#if`` decides whether it is there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

NAME = "name"
"""Kind of an option whose value names a variable or a port."""
LOOP, FUNCTION, TOP, ANYWHERE = "loop", "function", "top", "anywhere"
MARK = "hls_pragma_"
"""Begins the name of every constant that stands for a pragma."""
_PRAGMA = re.compile(r"^[ \t]*#[ \t]*pragma\b((?:.*\\\n)*.*)$", re.MULTILINE)


_Options = Mapping[str, "str | int | tuple[str, ...]"]


@dataclass(frozen=True)
class Directive:
    """What may follow a directive's name, and where it may stand."""

    options: _Options  # NAME, the least number, or the words
    required: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    where: tuple[str, ...] = (FUNCTION,)


_CUT: _Options = {
    "variable": NAME,
    "type": ("complete", "cyclic", "block"),
    "factor": 2,
    "dim": 0,
}
_MEMORIES = ("bram", "bram_ecc", "lutram", "uram", "uram_ecc", "srl", "memory")
_RAMS = ("ram_1p", "ram_1wnr", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np", "fifo")
_PORT, _TOP = {"port": NAME}, (TOP,)
GRAMMAR = {
    "PIPELINE": Directive(
        {"II": 1, "style": ("stp", "frp", "flp")}, (), ("off", "rewind"), (LOOP, FUNCTION)
    ),
    "UNROLL": Directive({"factor": 2}, (), ("skip_exit_check",), (LOOP,)),
    "LOOP_TRIPCOUNT": Directive({"min": 0, "max": 1, "avg": 0}, ("min", "max"), (), (LOOP,)),
    "LOOP_FLATTEN": Directive({}, (), ("off",), (LOOP,)),
    "DEPENDENCE": Directive(
        {
            "variable": NAME,
            "type": ("inter", "intra"),
            "direction": ("RAW", "WAR", "WAW"),
            "distance": 1,
            "dependent": ("true", "false"),
        },
        ("variable", "type", "direction", "distance", "dependent"),
        (),
        (LOOP,),
    ),
    "ARRAY_PARTITION": Directive(_CUT, ("variable", "type"), (), (ANYWHERE,)),
    "ARRAY_RESHAPE": Directive(_CUT, ("variable", "type"), (), (ANYWHERE,)),
    "BIND_STORAGE": Directive(
        {"variable": NAME, "type": _RAMS, "impl": _MEMORIES, "latency": 0},
        ("variable", "type"),
        (),
        (ANYWHERE,),
    ),
    "BIND_OP": Directive(
        {"variable": NAME, "op": ("mul", "add", "sub"), "impl": ("dsp", "fabric"), "latency": 0},
        ("variable", "op", "impl"),
        (),
        (ANYWHERE,),
    ),
    "STREAM": Directive(
        {"variable": NAME, "depth": 1, "type": ("fifo", "pipo", "shared", "unsync")},
        ("variable", "depth"),
        (),
        (ANYWHERE,),
    ),
    "DATAFLOW": Directive({}, (), ("disable_start_propagation",)),
    "INLINE": Directive({}, (), ("off", "recursive")),
    "EXPRESSION_BALANCE": Directive({}, (), ("off",), (LOOP, FUNCTION)),
    "LATENCY": Directive({"min": 0, "max": 0}, (), (), (LOOP, FUNCTION)),
    "AGGREGATE": Directive(
        {"variable": NAME, "compact": ("bit", "byte", "none", "auto")}, ("variable",)
    ),
    "DISAGGREGATE": Directive({"variable": NAME}, ("variable",)),
    "STABLE": Directive({"variable": NAME}, ("variable",)),
    "INTERFACE axis": Directive(
        {**_PORT, "register_mode": ("both", "forward", "reverse", "off")}, ("port",), (), _TOP
    ),
    "INTERFACE s_axilite": Directive(
        {**_PORT, "bundle": ("control",), "offset": 0x10}, ("port", "bundle"), (), _TOP
    ),
    "INTERFACE ap_ctrl_hs": Directive(_PORT, ("port",), (), _TOP),
}
"""Directives (an INTERFACE by its mode) and options that Vitis HLS 2022.2 to 2025.x all know."""


@dataclass(frozen=True)
class Pragma:
    """One pragma as it stands in a file."""

    path: str
    line: int
    text: str  # without "#pragma"
    directive: str = ""  # of the grammar; empty if it is none
    options: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def where(self) -> tuple[str, ...]:
        """Where it may stand."""
        return GRAMMAR[self.directive].where if self.directive in GRAMMAR else (ANYWHERE,)

    def names(self) -> Iterator[tuple[str, str]]:
        """Options whose value names a variable or a port; ``return`` is no name."""
        kinds = GRAMMAR[self.directive].options if self.directive in GRAMMAR else {}
        return ((o, v) for o, v in self.options.items() if kinds.get(o) == NAME and v != "return")

    def numbers(self) -> Iterator[tuple[str, str, int]]:
        """Options whose value is a number, and the least it may be."""
        kinds = GRAMMAR[self.directive].options if self.directive in GRAMMAR else {}
        for option, value in self.options.items():
            least = kinds.get(option)
            if isinstance(least, int):
                yield option, value, least

    def problems(self) -> Iterator[str]:
        """What is wrong with it, wherever it stands."""
        if not self.text.startswith("HLS "):
            yield f"'{self.text}' is no pragma of HLS; begin it with HLS, or take it away"
        elif self.directive not in GRAMMAR:
            yield f"{self.directive or 'it'} is unknown; write one of {', '.join(GRAMMAR)}"
        else:
            yield from self._problems(GRAMMAR[self.directive])

    def _problems(self, known: Directive) -> Iterator[str]:
        for option, value in self.options.items():
            kind = known.options.get(option)
            if kind is None:
                yield f"{self.directive} has no option {option}; it has {_list(known.options)}"
            elif isinstance(kind, tuple) and value not in kind:
                yield f"{option} = {value} is unknown; write one of {_list(kind)}"
        for flag in self.flags:
            if flag not in known.flags:
                yield f"'{flag}' is no word of {self.directive}; write OPTION = {flag}, or drop it"
        for option in known.required:
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
        line = text.count("\n", 0, match.start()) + 1
        pragma = _read(path, line, words)
        mark = f"{MARK}{len(pragmas)}"
        values = [f"{mark}_{option} = sizeof({value})" for option, value in pragma.names()]
        values += [f"{mark}_{option} = ({value})" for option, value, _ in pragma.numbers()]
        pragmas.append(pragma)
        return f"enum {{ {', '.join([mark, *values])} }};" + "\n" * match[0].count("\n")

    return _PRAGMA.sub(declaration, text)


def _read(path: str, line: int, words: list[str]) -> Pragma:
    directive = words[1].upper() if len(words) > 1 else ""
    options = dict(word.split("=", 1) for word in words[2:] if "=" in word)
    if directive == "INTERFACE":
        directive += f" {options.pop('mode', 'without mode')}"
    known, flags = GRAMMAR.get(directive, Directive({})), []
    for word in (word for word in words[2:] if "=" not in word):
        # `complete` says `type = complete`; so do the words of other options
        of = [o for o, kind in known.options.items() if isinstance(kind, tuple) and word in kind]
        if word in known.flags or len(of) != 1 or of[0] in options:
            flags.append(word)
        else:
            options[of[0]] = word
    return Pragma(path, line, " ".join(words), directive, options, tuple(flags))


def _list(words: Mapping[str, object] | tuple[str, ...]) -> str:
    return ", ".join(words) or "none"
