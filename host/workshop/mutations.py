"""Small changes of sources that a test should notice: of Python by its syntax, else by tokens."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """A place of a text, and what takes it."""

    kind: str  # comparison, arithmetic, bits, logic, negation, condition, constant, statement
    start: int
    end: int
    new: str

    def applied(self, text: str) -> str:
        """Return the text with the change."""
        return text[: self.start] + self.new + text[self.end :]

    def line(self, text: str) -> int:
        """Return the number of the line on which it begins, from 1."""
        return text.count("\n", 0, self.start) + 1

    def told(self, text: str) -> str:
        """Show the line on which it begins before and after; of longer ones what changes."""
        low, high = text.rfind("\n", 0, self.start) + 1, text.find("\n", self.end)
        old, new = text[low:high], text[low : self.start] + self.new + text[self.end : high]
        return " -> ".join(" ".join(line.split()) or "nothing" for line in (old, new))


def mutations(path: Path, text: str) -> list[Mutation]:
    """Return all changes that a file's text may be given, in their order.

    Args:
        path: tells the language: ``.py``, ``.sv``, or else C++.
        text: what the file holds.
    """
    found = _of_python(text) if path.suffix == ".py" else _of_tokens(text, path.suffix == ".sv")
    return sorted(found, key=lambda m: (m.start, m.end, m.new))


_SWAPS = {
    "comparison": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
    | {"is": "is not", "is not": "is", "in": "not in", "not in": "in"},
    "arithmetic": {"+": "-", "-": "+", "*": "+", "**": "*", "/": "*", "//": "*", "%": "*"}
    | {"++": "--", "--": "++"},
    "bits": {"<<": ">>", ">>": "<<", ">>>": ">>", "&": "|", "|": "&", "^": "&"},
    "logic": {"and": "or", "or": "and", "&&": "||", "||": "&&"},
}
_SWAPPED = {old: (kind, new) for kind, pairs in _SWAPS.items() for old, new in pairs.items()}
_SYMBOL = r"<<|>>>?|\*\*|[<>=!]=|&&|\|\||//|\+\+|--|[-+*/%&|^<>]"
_OPERATOR = re.compile(rf"\bnot\s+in\b|\bis\s+not\b|\b(?:is|in|and|or)\b|{_SYMBOL}")


def _swap(text: str, start: int, end: int) -> Iterator[Mutation]:
    """Swap the operator that stands between two places."""
    found = _OPERATOR.search(text, start, end)
    if found and (swapped := _SWAPPED.get(" ".join(found[0].split()))):
        yield Mutation(swapped[0], found.start(), found.end(), swapped[1])


def _beside(value: int, start: int, end: int) -> Iterator[Mutation]:
    for new in (value - 1, value + 1):
        if new >= 0:
            yield Mutation("constant", start, end, str(new))


def _of_python(text: str) -> Iterator[Mutation]:
    lines = text.splitlines(keepends=True)
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line))

    def place(number: int, column: int) -> int:
        return begins[number - 1] + len(lines[number - 1].encode()[:column].decode())

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        ends = node.end_lineno or node.lineno, node.end_col_offset or 0
        return place(node.lineno, node.col_offset), place(*ends)

    for node in _walk(ast.parse(text)):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        match node:
            case ast.Compare():
                pairs = [*zip([node.left, *node.comparators], node.comparators)]
            case ast.BoolOp():
                pairs = [*zip(node.values, node.values[1:])]
            case ast.BinOp():
                pairs = [(node.left, node.right)]
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert() as op):
                start = span(node)[0]
                yield Mutation("negation", start, start + (3 if isinstance(op, ast.Not) else 1), "")
            case ast.If() | ast.While() | ast.IfExp():
                if isinstance(node.test, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
                    start, end = span(node.test)
                    yield Mutation("condition", start, end, f"not ({text[start:end]})")
            case ast.Constant(value=bool() as value):
                yield Mutation("constant", *span(node), str(not value))
            case ast.Constant(value=int() as value):
                yield from _beside(value, *span(node))
            case ast.Constant(value=float() as value):
                yield Mutation("constant", *span(node), str(value + 1))
            case ast.AugAssign():
                pairs = [(node.target, node.value)]
                yield Mutation("statement", *span(node), "pass")
            case ast.Raise() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Call()):
                yield Mutation("statement", *span(node), "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield Mutation("statement", *span(node), "pass")
        for left, right in pairs:
            yield from _swap(text, span(left)[1], span(right)[0])


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Walk over what runs: no annotations, and no f-strings, whose places older Pythons mistake."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                    yield from _walk(child)


_NO_CODE = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|^\s*[#`][^\n]*|\b(?:static_)?assert\b[^;]*;'
_NO_SV = r"|\(\*.*?\*\)|\bimport\b[^;]*;|(?<=\blogic)(?: signed)?\s*(?:\[[^\]]*\])+"
_NO_CPP = r"|\bU?Int<\d+>"
"""Attributes and imports; widths, for a wider variable is mostly the same or a warning."""
_LEFT = r"(?:\{[^{}]*\}|[\w.$]+(?:\[[^\]]*\]|\.\w+)*)"
_SV_STATEMENT = re.compile(
    rf"(?:^|;|\)|\bbegin\b|\belse\b|:)\s*({_LEFT}\s*(<=)\s[^;]*);", re.MULTILINE
)
_CPP_STATEMENT = re.compile(
    rf"^\s*(?:if \([^;{{}}]*\) |else )?((?:{_LEFT} ([-+|&^]?=) [^;{{}}]*)|(?:\+\+|--)[\w.]+|"
    r"[\w.:]+\([^;{}]*\));",
    re.MULTILINE,
)
_BINARY = re.compile(rf"(?<= )(?:{_SYMBOL})(?=\s)|(?<![\w)\]])(?:\+\+|--)(?=\w)")
_UNARY = re.compile(r"(?<![\w)\]])[!~](?=[\w({])")
_CONDITION = re.compile(r"\bif \((\w+)\)")
_NUMBER = re.compile(r"(?<![\w.'$])\d+(?![\w.'])")
_SIZED = re.compile(r"\b(\d+)'(b|d|h)([0-9a-fA-F]+)\b")
_FILL = re.compile(r"(?<!\w)'([01])(?!\w)")
_BOOL = re.compile(r"\b(?:true|false)\b")
_BASES = {"b": (2, "b"), "d": (10, "d"), "h": (16, "x")}


def _of_tokens(text: str, sv: bool) -> Iterator[Mutation]:
    no_code = re.compile(_NO_CODE + (_NO_SV if sv else _NO_CPP), re.S | re.M)
    code = no_code.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    assigned = set()
    for found in (_SV_STATEMENT if sv else _CPP_STATEMENT).finditer(code):
        assigned.add(found.start(2))
        yield Mutation("statement", *found.span(1), "")
    for found in _BINARY.finditer(code):
        if found.start() not in assigned:
            yield from _swap(code, *found.span())
    for found in _UNARY.finditer(code):
        yield Mutation("negation", *found.span(), "")
    for found in _CONDITION.finditer(code):
        yield Mutation("condition", *found.span(1), f"!{found[1]}")
    for found in _NUMBER.finditer(code):
        yield from _beside(int(found[0]), *found.span())
    for found in _BOOL.finditer(code):
        yield Mutation("constant", *found.span(), "true" if found[0] == "false" else "false")
    for found in _FILL.finditer(code) if sv else ():
        yield Mutation("constant", *found.span(1), str(1 - int(found[1])))
    for found in _SIZED.finditer(code) if sv else ():
        base, shown = _BASES[found[2]]
        for value in (int(found[3], base) - 1, int(found[3], base) + 1):
            if 0 <= value < 1 << int(found[1]):
                yield Mutation("constant", *found.span(3), f"{value:{shown}}")
