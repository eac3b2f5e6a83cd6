"""LLVM's intermediate form: the functions of a text as blocks of instructions, and its types."""

from __future__ import annotations

import re

from lstm_sharp.errors import UsageError

NAME = r'(?:[-\w.$]+|"[^"]*")'
_HINTS = re.compile(
    r"\b(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|inrange\(.*?\)|volatile|tail|noundef) "
)
_COMMA = re.compile(r",\s*(?![^\[{(<]*[\]})>])")
"""A comma outside of brackets; none of what is split here has brackets within brackets."""
Instruction = tuple[str, str, str]
"""``%result = op text``, less what is only a hint; the result is "" for none."""


class NotADatapath(UsageError):
    """The form holds what is no plain datapath: a loop, a call, an instruction not known here."""


class Module:
    """The functions of a text, each as its blocks of instructions, and the types."""

    def __init__(self, text: str) -> None:
        self.functions: dict[str, dict[str, list[Instruction]]] = {}
        self.types = dict(re.findall(rf"^(%{NAME}) = type (.*)", text, re.MULTILINE))
        for name, body in re.findall(
            rf"^define .*?@({NAME})\(.*{{\n((?:.*\n)*?)}}$", text, re.MULTILINE
        ):
            blocks = self.functions[name.strip('"')] = {}
            body = re.sub(r"\[\n.*?\]", lambda cases: cases[0].replace("\n", " "), body, flags=re.S)
            for line in body.splitlines():
                if label := re.match(rf"({NAME}):", line):
                    block = blocks[label[1].strip('"')] = []
                elif line := re.split(r",? ![\w.]+ !|;| #\d+$", line)[0].strip():
                    found = re.match(rf"(?:%({NAME}) = )?(\S+) ?(.*)", _HINTS.sub("", line))
                    block.append(((found[1] or "").strip('"'), found[2], found[3]))  # type: ignore

    def size(self, kind: str) -> int:
        """Return the bytes that an element of a type takes in an array."""
        return self._extent(kind)[0]

    def _extent(self, kind: str) -> tuple[int, int]:
        """Size and alignment in bytes."""
        kind = self.types.get(kind, kind)
        if found := re.fullmatch(r"i(\d+)", kind):
            size = 1 << max(0, (int(found[1]) - 1) // 8).bit_length()
            return size, size
        if found := re.fullmatch(r"\[(\d+) x (.*)\]", kind):
            size, align = self._extent(found[2])
            return int(found[1]) * size, align
        if not re.match(r"<?{", kind):
            raise NotADatapath(f"the type {kind} is not known here")
        end, most, packed = 0, 1, kind[0] == "<"
        for size, align in map(self._extent, split(kind.strip("<{ }>"))):
            align = 1 if packed else align
            end, most = -(-end // align) * align + size, max(most, align)
        return -(-end // most) * most, most


def split(text: str) -> list[str]:
    """Return the parts of a text between its commas."""
    return [part.strip() for part in _COMMA.split(text)] if text.strip() else []


def targets(block: list[Instruction]) -> list[str]:
    """Blocks that its last instruction goes to."""
    return [found.strip('"') for found in re.findall(rf"label %({NAME})", block[-1][2])]
