"""How much there is to read: code lines by room and file, against a budget (``make size``).

A code line is a line that has code: no docstring, comment, blank line or import.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

from lstm_sharp import paths
from lstm_sharp.terminal import Parser

BUDGET = {"product": 14_560, "workshop": 4_920, "hardware": 5_000, "proofs": 900, "tests": 16_870}
"""Most code lines of each part."""
PHYSICAL = {"hardware": 6_060}
"""Most lines of any kind."""
_PARTS = {
    "product": ("host/lstm_sharp/**/*.py",),
    "workshop": tuple(f"host/workshop/**/*{end}" for end in (".py", ".cpp", ".hpp")),
    "hardware": tuple(
        f"{folder}/**/*{end}"
        for folder in ("hls/kernel", "hls/rtl", "hls/tb", "templates")
        for end in (".sv", ".hpp", ".cpp", ".j2")
    ),
    "proofs": ("hls/formal/*.sv",),
    "tests": ("tests/**/*.py",),
}
_PROSE = ":(exclude,glob)**/*.md.j2"
_NO_CODE = re.compile(r"/\*.*?\*/|//(?!%)[^\n]*|^\s*(?:#\s*include|import )[^\n]*", re.S | re.M)
"""Of C++, SystemVerilog and their templates, whose own lines begin with //%."""
_NO_TCL = re.compile(r"^(//)?#[^\n]*", re.M)


def code_lines(path: Path) -> int:
    """Count the code lines of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        left_out = _NO_TCL if ".tcl" in path.name else _NO_CODE
        return sum(map(bool, map(str.strip, left_out.sub("", text).splitlines())))
    left: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                left.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: set[int] = set()
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*empty, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - left)


def files(part: str) -> list[Path]:
    """Return the files of a part that git knows of."""
    root = paths.hardware().parent
    told = ["git", "ls-files", _PROSE, *(f":(glob){pattern}" for pattern in _PARTS[part])]
    names = subprocess.run(told, cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / name for name in names.splitlines()]


def main() -> int:
    """Print the lines of each part, room and file; return 1 if one is over its budget."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="totals alone")
    quiet = parser.parse_args().quiet
    over, root = [], paths.hardware().parent
    for part, most in BUDGET.items():
        counted = {path: code_lines(path) for path in files(part)}
        rooms: Counter[str] = Counter()
        for path, lines in counted.items():
            rooms[str(path.parent.relative_to(root))] += lines
        for room in [] if quiet else sorted(rooms):
            print(f"{room}: {rooms[room]:,}")
            for path, lines in counted.items():
                if str(path.parent.relative_to(root)) == room:
                    print(f"    {lines:5,} {path.name}")
        total = sum(counted.values())
        whole = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in counted)
        print(f"{part}: {total:,} of {most:,} code lines, {whole:,} lines in all\n")
        if total > most or whole > PHYSICAL.get(part, whole):
            over.append(part)
    if over:
        print(f"over its budget: {', '.join(over)}; make it smaller", file=sys.stderr)
    return bool(over)


if __name__ == "__main__":
    sys.exit(main())
