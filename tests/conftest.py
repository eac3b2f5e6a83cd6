"""What all tests share: tests whose tool or board is absent are skipped and say so."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

from lstm_sharp.build import hls_rtl

# A test must not fail because the machine was busy; a failure prints how to run it again. CI draws
# the same cases every time: new ones are for people, who can look at what they find.
settings.register_profile(
    "lstm-sharp", deadline=None, print_blob=True, derandomize="CI" in os.environ
)
settings.load_profile("lstm-sharp")

# Under `make test`, the outer make's flags would reach the makes that tests start.
for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
    os.environ.pop(name, None)


def _absent(marker: str) -> str | None:
    """Tell what tests with this marker lack on this machine."""
    if marker == "vitis":
        tools = ("vitis-run", "vitis_hls")
        return None if any(map(shutil.which, tools)) else "neither vitis-run nor vitis_hls on PATH"
    if marker == "board":
        on_arm = platform.machine() in ("armv7l", "aarch64")
        return None if on_arm and importlib.util.find_spec("pynq") else "no PYNQ board here"
    if marker == "sv":
        return "looks at the SystemVerilog engine, RTL=hls" if hls_rtl.chosen() else None
    if marker == "csim":
        return None if shutil.which("g++") else "g++ is missing: sudo apt install g++"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here."""
    reasons = {marker: _absent(marker) for marker in ("vitis", "board", "csim", "sv")}
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
