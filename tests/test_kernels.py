"""Builds the kernels that tests share, beside the engines of test_engines.py: first of all."""

from __future__ import annotations

from pathlib import Path

import pytest

import compilers
from cases import KERNELS
from lstm_sharp.flow import csim
from lstm_sharp.runtime import engines


@pytest.mark.csim
@pytest.mark.parametrize("name", KERNELS)
def test_csim(name: str) -> None:
    assert engines.build("csim", KERNELS[name]).is_file()


@pytest.mark.csim
@pytest.mark.parametrize("variant", compilers.VARIANTS, ids=lambda variant: variant.name)
def test_variant(variant: csim.Variant) -> None:
    assert csim.build(KERNELS["shapes"], Path("build"), variant).is_file()
