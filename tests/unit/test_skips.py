"""What tests/conftest.py does with skipped tests, tried on files of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_sharp.flow import hls_rtl

pytest_plugins = "pytester"

CONFTEST = Path(__file__).parents[1] / "conftest.py"
FINE = """
import pytest
@pytest.mark.vitis
def test_tool(): pytest.skip("none here")

@pytest.mark.board
def test_board(): pytest.skip("none here")

@pytest.mark.torch
def test_torch(): pytest.skip("none here")

@pytest.mark.xfail
def test_expected_to_fail(): assert False

def test_passes(): pass
"""
LACKS = """
import pytest

def test_called(): pytest.skip("no package")

@pytest.mark.skipif(True, reason="no package")
def test_marked(): pass

@pytest.fixture
def package(): pytest.skip("no package")

def test_fixture(package): pass
"""
LACKS_ALL = 'import pytest\npytest.importorskip("no_such_package", reason="no package")'


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run pytest in a process of its own; return what it says and the lines on what is skipped."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini("[pytest]\nmarkers =\n  vitis: x\n  board: x\n  torch: x\n  sv: x\n")
    monkeypatch.setenv("COLUMNS", "200")

    def run(files: dict[str, str], *options: str) -> tuple[pytest.RunResult, list[str]]:
        pytester.makepyfile(**files)
        done = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
        lines = done.stdout.str().partition("= skipped =")[2].splitlines()[1:]
        end = next((n for n, line in enumerate(lines) if line.startswith("=")), 0)
        return done, [line.strip() for line in lines[:end] if line]

    return run


def test_a_skip_fails_where_none_may_be(run: Callable[..., Any]) -> None:
    done, skipped = run({"test_fine": FINE}, "--no-skips")
    done.assert_outcomes(passed=1, skipped=3, xfailed=1)  # tools and boards may be absent
    assert len(skipped) == 3
    files = {"test_fine": FINE, "test_lacks": LACKS, "test_lacks_all": LACKS_ALL}
    done, skipped = run(files)
    done.assert_outcomes(passed=1, skipped=7, xfailed=1)
    assert len(skipped) == 4 and "4 no package" in skipped
    done, skipped = run(files, "--no-skips", "--continue-on-collection-errors", "-rfE")
    done.assert_outcomes(passed=1, skipped=3, xfailed=1, failed=1, errors=3)
    assert len(skipped) == 3 and not any("package" in line for line in skipped)
    why = "skipped, which --no-skips forbids: no package"
    said = re.findall(r"^(?:FAILED|ERROR) (\S+) - (.*)", done.stdout.str(), re.MULTILINE)
    assert set(said) == {
        ("test_lacks_all.py", why),
        *((f"test_lacks.py::test_{name}", why) for name in ("called", "marked", "fixture")),
    }


def test_an_rtl_that_there_is_none_of(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hls_rtl.CHOICE, "foo")
    done, _ = run({"test_fine": FINE})
    assert done.ret == 4
    assert done.stderr.str().strip().startswith("ERROR: RTL=foo is unknown; sv is the SystemVer")


def test_no_test_measures_seconds() -> None:
    """A busy machine would fail it: speeds are the bench's, which takes them as ratios."""
    clock = re.compile(r"\btime\.(perf_counter|monotonic|process_time|time)\b")
    tests = [path for path in CONFTEST.parent.rglob("*.py") if path.parent.name != "bench"]
    tests.remove(CONFTEST.with_name("soak.py"))  # no test: it is asked for hours
    reading = [path.name for path in tests if clock.search(path.read_text())]
    assert len(tests) > 50 and not reading
