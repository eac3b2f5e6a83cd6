"""What tests/conftest.py does with skipped tests, tried on files of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from lstm_sharp.flow import hls_rtl

CONFTEST = Path(__file__).parents[1] / "conftest.py"
FINE = """
import pytest

@pytest.mark.vitis
def test_tool():
    pytest.skip("none here")

@pytest.mark.board
def test_board():
    pytest.skip("none here")

@pytest.mark.xfail
def test_expected_to_fail():
    assert False

def test_passes():
    pass
"""
LACKS = """
import pytest

def test_called():
    pytest.skip("no package")

@pytest.mark.skipif(True, reason="no package")
def test_marked():
    pass

@pytest.fixture
def package():
    pytest.skip("no package")

def test_fixture(package):
    pass
"""
LACKS_ALL = """
import pytest

pytest.importorskip("no_such_package", reason="no package")
"""


def run(folder: Path, files: dict[str, str], *options: str) -> tuple[int, str, list[str]]:
    """Run pytest on files; return its status, all it prints, and the lines on what is skipped."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  vitis: x\n  board: x\n  sv: x\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    lines = said.partition("= skipped =")[2].splitlines()[1:]
    end = next(n for n, line in enumerate(lines) if line.startswith("="))
    return done.returncode, said, [line.strip() for line in lines[:end] if line]


def test_a_skip_fails_where_none_may_be(tmp_path: Path) -> None:
    files = {"test_fine.py": FINE, "test_lacks.py": LACKS, "test_lacks_all.py": LACKS_ALL}
    status, said, skipped = run(tmp_path, files)
    assert status == 0, said
    assert len(skipped) == 3 and "4 no package" in skipped
    status, said, skipped = run(
        tmp_path, files, "--no-skips", "--continue-on-collection-errors", "-rfE"
    )
    assert status == 1, said
    assert len(skipped) == 2 and not any("package" in line for line in skipped)
    why = "skipped, which --no-skips forbids: no package"
    assert set(re.findall(r"^(?:FAILED|ERROR) (\S+) - (.*)", said, re.MULTILINE)) == {
        ("test_lacks_all.py", why),
        *((f"test_lacks.py::test_{name}", why) for name in ("called", "marked", "fixture")),
    }
    assert "1 failed, 1 passed, 2 skipped, 1 xfailed, 3 errors" in said


def test_tools_and_boards_may_be_absent(tmp_path: Path) -> None:
    status, said, skipped = run(tmp_path, {"test_fine.py": FINE}, "--no-skips")
    assert status == 0, said
    assert len(skipped) == 2


def test_an_rtl_that_there_is_none_of(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, hls_rtl.CHOICE: "foo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.strip().startswith("ERROR: RTL=foo is unknown; sv is the SystemVerilog")


def test_no_test_measures_seconds() -> None:
    """A busy machine would fail it: speeds are the bench's, which takes them as ratios."""
    clock = re.compile(r"\btime\.(perf_counter|monotonic|process_time|time)\b")
    tests = [path for path in CONFTEST.parent.rglob("*.py") if path.parent.name != "bench"]
    reading = [path.name for path in tests if clock.search(path.read_text())]
    assert len(tests) > 50 and not reading
