"""Fixtures of the tests that stand in for AMD's tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivado_user import Stub


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    return Stub(tmp_path, monkeypatch)
