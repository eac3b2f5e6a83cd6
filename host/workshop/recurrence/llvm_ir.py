"""LLVM's intermediate form, read from text: functions, blocks, instructions, sizes of types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lstm_sharp.errors import UsageError

_NAME = r'(?:[-\w.$]+|"[^"]*")'
_DEFINE = re.compile(rf"define .*?@({_NAME})\((.*)\) .*{{$")
_LABEL = re.compile(rf"({_NAME}):")
_RESULT = re.compile(rf"%({_NAME}) = (.*)")
_TYPE = re.compile(rf"(%{_NAME}) = type (.*)")
_CALL = re.compile(r"(?:tail |musttail |notail )?call ")
_COMMA = re.compile(r",\s*(?![^\[{(<]*[\]})>])")
"""A comma outside of brackets; none of what is split here has brackets within brackets."""


class NotADatapath(UsageError):
    """The form holds what is no plain datapath: a loop, a call, an instruction not known here."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``%result = op text``, less what is only a hint."""

    result: str  # "" for none
    op: str
    text: str


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
                    function = Function(found[1].strip('"'), names)
                    self.functions[function.name] = function
                    block = function.blocks.setdefault("entry", [])
                elif found := _TYPE.match(line):
                    self.types[found[1]] = found[2]
            elif line == "}":
                function = None
            elif found := _LABEL.match(line):
                block = [] if found[1] != "entry" else block
                function.blocks[found[1].strip('"')] = block
            elif line := line.split(";")[0].strip():
                while line.endswith("[") or (line.startswith("switch") and "]" not in line):
                    line += " " + next(lines).strip()
                block.append(_instruction(line))

    def size(self, kind: str) -> int:
        """Return the bytes that an element of a type takes in an array."""
        return _rounded(*self._extent(kind))

    def member(self, kind: str, index: int) -> tuple[int, str]:
        """Return offset and type of a member of a structure, or of an element of an array."""
        kind = self.types.get(kind, kind)
        if kind.startswith("["):
            element = kind[1:-1].partition(" x ")[2]
            return index * self.size(element), element
        offset = 0
        for at, member in enumerate(_members(kind)):
            size, align = self._extent(member)
            align = 1 if kind.startswith("<") else align
            offset = _rounded(offset, align)
            if at == index:
                return offset, member
            offset += size
        raise NotADatapath(f"a {kind} has no member {index}")

    def _extent(self, kind: str) -> tuple[int, int]:
        """Size and alignment in bytes."""
        kind = self.types.get(kind, kind)
        if found := re.fullmatch(r"i(\d+)", kind):
            size = 1
            while 8 * size < int(found[1]):
                size *= 2
            return size, size
        if kind == "ptr":
            return 8, 8
        if kind.startswith("["):
            count, _, element = kind[1:-1].partition(" x ")
            size, align = self._extent(element)
            return int(count) * _rounded(size, align), align
        if kind.startswith("<{"):
            return sum(self._extent(member)[0] for member in _members(kind)), 1
        if kind.startswith("{"):
            extents = [self._extent(member) for member in _members(kind)]
            align = max((align for _, align in extents), default=1)
            size = 0
            for part, its in extents:
                size = _rounded(size, its) + part
            return _rounded(size, align), align
        raise NotADatapath(f"the type {kind} is not known here")


def split(text: str) -> list[str]:
    """Split at commas outside of brackets."""
    return [part.strip() for part in _COMMA.split(text)] if text.strip() else []


def _members(kind: str) -> list[str]:
    return split(kind.strip("<{ }>"))


def _rounded(size: int, align: int) -> int:
    return -(-size // align) * align


def _instruction(line: str) -> Instruction:
    line = re.split(r",? ![\w.]+ !", line)[0]
    found = _RESULT.match(line)
    result, line = (found[1].strip('"'), found[2]) if found else ("", line)
    line = _CALL.sub("call ", line)
    op, _, text = line.partition(" ")
    return Instruction(result, op, re.sub(r" #\d+$", "", text.strip()))
