"""What Vitis HLS says beside its figures: messages on a loop, pragmas that it did not take.

Forms as in published logs and reports of 2022.2 to 2025.1; docs/vitis.md names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

SCHEDULE = ("200-871", "200-875", "200-878", "200-880", "200-885", "200-1016")
"""Numbers of messages on a schedule that is not what was asked for."""
_MESSAGE = re.compile(r"(INFO|WARNING|CRITICAL WARNING|ERROR): \[\S+ (\d+-\d+)\] (.*)")
_MODULE = re.compile(r"-- Implementing module '([^']+)'")
_PIPELINING = re.compile(r"Pipelining loop '([^']+)'")
_NAMED = re.compile(r"\(loop '([^']+)'\)")
_WHERE = re.compile(r"The II Violation in module '[^']*'(?: \(loop '[^']*'\))?: ")
_REFUSED = re.compile(
    r"ignor|unsupported|not supported|cannot|invalid|unexpected pragma|missing argument|conflict"
    r"|has been removed|assuming false|can only be applied|only .* support",
    re.IGNORECASE,
)
_PRAGMA = re.compile(r"pragma|directive|array_|dependence", re.IGNORECASE)
_SHOWN = 160


@dataclass(frozen=True)
class Message:
    """A message; what is indented below it is part of its text."""

    severity: str  # INFO, WARNING, CRITICAL WARNING, ERROR
    number: str  # as 200-880
    text: str

    def __str__(self) -> str:
        text = _WHERE.sub("", self.text).rstrip(".")
        if len(text) > _SHOWN:  # arrays and times stand at the end
            text = f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
        return f"[{self.number}] {text}"


def messages(log: str) -> Iterator[Message]:
    """Yield the messages of a log."""
    begun: list[str] = []
    for line in [*log.splitlines(), ""]:
        if begun and line[:1].isspace():
            begun.append(line)
            continue
        found = _MESSAGE.match(" ".join(begun[:1]))
        if found:
            text = " ".join(" ".join([found[3], *begun[1:]]).split())
            yield Message(found[1], found[2], text)
        begun = [line]


def by_loop(log: str) -> dict[str, list[Message]]:
    """Collect for each loop its messages of ``SCHEDULE``, the first of each number.

    One that names no loop is on the one that was being pipelined, or that its module was made for.
    """
    said: dict[str, list[Message]] = {}
    loop = ""
    for message in messages(log):
        module, pipelining = _MODULE.search(message.text), _PIPELINING.search(message.text)
        if module:
            loop = module[1].rpartition("_Pipeline_")[2] if "_Pipeline_" in module[1] else ""
        if pipelining:
            loop = pipelining[1]
        if message.number in SCHEDULE:
            named = _NAMED.search(message.text)
            of_loop = said.setdefault(named[1] if named else loop, [])
            if message.number not in [other.number for other in of_loop]:
                of_loop.append(message)
    return said


def refused_pragmas(root: Element, log: str) -> Iterator[str]:
    """Say of each pragma that the tool ignored or could not honour which, and in what words.

    Args:
        root: of csynth.xml, whose PragmaReport judges each pragma.
        log: tells of those that were refused later than it looks, and in releases without one.
    """
    told: list[str] = []
    for pragma in root.iter("Pragma"):
        words = [
            f"[{said.get('msg_id')}] {said.get('msg_body')}"
            for said in pragma.iter("Msg")
            if said.get("msg_severity") != "INFO" and _REFUSED.search(said.get("msg_body", ""))
        ]
        if pragma.get("status") == "invalid" or words:
            told += words
            what = f"{pragma.get('type')} {pragma.get('options') or pragma.get('variable')}".strip()
            why = words[0] if words else "[invalid] no reason given"
            yield f"{what} at {pragma.get('location')}: {why}"
    for message in messages(log):
        on_pragma = message.number.startswith("214-") or _PRAGMA.search(message.text)
        if message.severity != "INFO" and on_pragma and _REFUSED.search(message.text):
            full = f"[{message.number}] {message.text}"
            if not any(full.startswith(words) for words in told):
                told.append(full)
                yield str(message)
