"""LLVM's intermediate form, read from text: functions, blocks, instructions, sizes of types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from lstm_sharp.errors import UsageError

_NAME = r'(?:[-\w.$]+|"[^"]*")'
_DEFINE = re.compile(rf"define .*?@({_NAME})\((.*)\) .*{{$")
_LABEL = re.compile(rf"({_NAME}):")
_RESULT = re.compile(rf"(?:%({_NAME}) = )?(\S+) ?(.*)")
_TYPE = re.compile(rf"(%{_NAME}) = type (.*)")
_CALL = re.compile(r"\b(?:tail |musttail |notail )call ")
_HINTS = re.compile(r"\b(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|inrange\(.*?\)|volatile) ")
_COMMA = re.compile(r",\s*(?![^\[{(<]*[\]})>])")
"""A comma outside of brackets; none of what is split here has brackets within brackets."""


class NotADatapath(UsageError):
    """The form holds what is no plain datapath: a loop, a call, an instruction not known here."""


class Instruction(NamedTuple):
    """One instruction: ``%result = op text``, less what is only a hint."""

    result: str  # "" for none
    op: str
    text: str

    @property
    def targets(self) -> list[str]:
        """Blocks that it goes to."""
        return [found.strip('"') for found in re.findall(rf"label %({_NAME})", self.text)]


@dataclass
class Function:
    """A function: names of its parameters, and its blocks, the first of which is entered."""

    name: str
    parameters: list[str]
    blocks: dict[str, list[Instruction]] = field(default_factory=dict)


class Module:
    """All that is defined in a file."""

    def __init__(self, text: str) -> None:
        self.functions: dict[str, Function] = {}
        self.types: dict[str, str] = {}
        function: Function | None = None
        block: list[Instruction] = []
        lines = iter(text.splitlines())
        for line in lines:
            if function is None:
                if found := _DEFINE.match(line):
                    names = re.findall(rf"%({_NAME})(?=,|$)", found[2])
                    function = self.functions[found[1].strip('"')] = Function(found[1], names)
                    block = function.blocks.setdefault("entry", [])
                elif found := _TYPE.match(line):
                    self.types[found[1]] = found[2]
            elif line == "}":
                function = None
            elif found := _LABEL.match(line):
                block = function.blocks.setdefault(found[1].strip('"'), [])
            elif line := line.split(";")[0].strip():
                while line.endswith("[") or (line.startswith("switch") and "]" not in line):
                    line += " " + next(lines).strip()
                block.append(_instruction(line))

    def size(self, kind: str) -> int:
        """Return the bytes that an element of a type takes in an array."""
        return self._extent(kind)[0]

    def _extent(self, kind: str) -> tuple[int, int]:
        """Size and alignment in bytes."""
        kind = self.types.get(kind, kind)
        if found := re.fullmatch(r"i(\d+)", kind):
            size = _power(int(found[1]))
            return size, size
        if found := re.fullmatch(r"\[(\d+) x (.*)\]", kind):
            size, align = self._extent(found[2])
            return int(found[1]) * size, align
        if not kind.startswith("{"):
            raise NotADatapath(f"the type {kind} is not known here")
        end, most = 0, 1
        for size, align in map(self._extent, split(kind.strip("{ }"))):
            end, most = -(-end // align) * align + size, max(most, align)
        return -(-end // most) * most, most


def split(text: str) -> list[str]:
    """Split at commas outside of brackets."""
    return [part.strip() for part in _COMMA.split(text)] if text.strip() else []


def _instruction(line: str) -> Instruction:
    line = _CALL.sub("call ", re.split(r",? ![\w.]+ !", line)[0])
    result, op, text = _RESULT.match(line).groups()  # type: ignore[union-attr]
    return Instruction((result or "").strip('"'), op, _HINTS.sub("", re.sub(r" #\d+$", "", text)))


def _power(bits: int) -> int:
    """Bytes of an integer, a power of two."""
    return 1 << max(0, (bits - 1) // 8).bit_length()
