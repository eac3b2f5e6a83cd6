"""docs/first-run.md quotes what the code says: each message that it explains is one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FILLED = (
    r"\.\.\.|\[200-\d+\]|Slots|FAILED: |FAIL  |FAIL: |note: |no overlay: |Vitis HLS failed in \w+: "
)
"""What comes from variables, or is put before a message."""


def messages() -> list[str]:
    """Code in the first column of the tables on messages."""
    page = (ROOT / "docs" / "first-run.md").read_text()
    rows = re.findall(r"^\| (.*?) \|", page[page.index("## By message") :], re.MULTILINE)
    return [said for row in rows for said in re.findall(r"`([^`]+)`", row)]


def test_messages_are_those_of_the_code() -> None:
    texts = [p.read_text() for p in (ROOT / "host").rglob("*.py")]
    texts += [p.read_text() for p in (ROOT / "templates").rglob("*.tcl.j2")]
    code = re.sub(r"[\"']\s*\n\s*f?[\"']|\\\n\s*", "", "\n".join(texts))
    found = messages()
    assert len(found) > 25
    for said in found:
        for part in re.split(_FILLED, said):
            assert part.strip(" ,:") in code, f"{part!r} of {said!r}"
