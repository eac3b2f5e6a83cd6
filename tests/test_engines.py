"""Builds the engines that tests share, beside those of test_kernels.py: first of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases import ENGINES
from lstm_sharp.flow import verilate


@pytest.mark.rtl
@pytest.mark.sv
@pytest.mark.parametrize("name", ENGINES)
def test_rtl(name: str) -> None:
    assert verilate.library(ENGINES[name], Path("build")).is_file()
