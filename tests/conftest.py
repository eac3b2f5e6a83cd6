"""What all tests share: tests whose tool or board is absent are skipped and say so.

With ``--no-skips``, which CI gives, only those of AMD's tools, of boards and of PyTorch may be.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from lstm_sharp.errors import UsageError
from lstm_sharp.flow import hls_rtl

# A test must not fail because the machine was busy; a failure prints how to run it again. CI draws
# the same cases every time: new ones are for people, who can look at what they find.
settings.register_profile(
    "lstm-sharp", deadline=None, print_blob=True, derandomize="CI" in os.environ
)
settings.load_profile("lstm-sharp")

# A shell's background jobs ignore Ctrl-C, and so would what tests start there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Under `make test`, the outer make's flags would reach the makes that tests start.
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(name, None)


_MAY_BE_ABSENT = ("vitis", "board", "torch")
"""Markers of tests that need what no package brings, or one of gigabytes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail each test that is skipped and needs neither Vitis HLS, a board nor PyTorch",
    )


def pytest_configure() -> None:
    """Refuse an RTL that there is none of, in the words of whoever knows them."""
    try:
        hls_rtl.chosen()
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _absent(marker: str) -> str | None:
    """Tell what tests with this marker lack on this machine."""
    if marker == "vitis":
        tools = ("vitis-run", "vitis_hls")
        return None if any(map(shutil.which, tools)) else "neither vitis-run nor vitis_hls on PATH"
    if marker == "board":
        on_arm = platform.machine() in ("armv7l", "aarch64")
        return None if on_arm and importlib.util.find_spec("pynq") else "no PYNQ board here"
    if marker == "torch":
        return None if importlib.util.find_spec("torch") else "no PyTorch here"
    if marker == "sv":
        return "looks at the SystemVerilog engine, RTL=hls" if hls_rtl.chosen() else None
    if marker == "csim":
        return None if shutil.which("g++") else "g++ is missing: sudo apt install g++"
    return None


_FOLDERS = ("tests", "rtl", "vitis", "host", "csim", "unit")
"""In the order in which they run: engines are built, and then what takes long."""


def _place(item: pytest.Item) -> int:
    folder = item.path.parent.name
    return _FOLDERS.index(folder) if folder in _FOLDERS else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put items into their order, and skip what cannot run here."""
    items.sort(key=_place)
    reasons = {marker: _absent(marker) for marker in (*_MAY_BE_ABSENT, "csim", "sv")}
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Skip a test whose fixtures build an engine that the HLS RTL is not."""
    return (yield from _skip_other_engine())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a test that builds an engine that the HLS RTL is not."""
    return (yield from _skip_other_engine())


def _skip_other_engine() -> Iterator[None]:
    try:
        return (yield)
    except hls_rtl.OtherEngine as other:
        pytest.skip(str(other))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """Fail a skipped test where none may be skipped."""
    report = yield
    if not any(item.get_closest_marker(marker) for marker in _MAY_BE_ABSENT):
        _no_skip(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[pytest.CollectReport]:
    """Fail a file that skips itself whole, as an import that fails makes it."""
    report = yield
    _no_skip(collector.config, report)
    return report


def _no_skip(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which --no-skips forbids: {_reason(report)}"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was skipped, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section("skipped")
    for reason, count in Counter(map(_reason, skipped)).most_common():
        terminalreporter.line(f"{count:5} {reason}")
    if not skipped:
        terminalreporter.line("    0")


@pytest.fixture
def with_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, the current one, in which the engines lie that other tests have built."""
    Path("build").mkdir(exist_ok=True)
    (tmp_path / "build").symlink_to(Path("build").resolve(), target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
