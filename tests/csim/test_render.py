"""The rendered tree: complete, fresh, and written as a person would write it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_sharp import paths
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.render import context, render
from lstm_sharp.numerics import activation

_TINY = config.load("tiny")
_CLANG_FORMAT = shutil.which(
    "clang-format", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
)


def test_only_what_changes_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(_TINY, out)
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {"config.hpp", "top.cpp", "compute.hpp", "lstm_pkg.sv"} <= {path.name for path in files}
    render(_TINY, out)
    assert files == {path: path.stat().st_mtime_ns for path in files}
    render(config.resized(_TINY, name="other", max_hidden=16), out)
    changed = {path.name for path, time in files.items() if path.stat().st_mtime_ns != time}
    assert "config.hpp" in changed and "compute.hpp" not in changed
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["hls/kernel/mine.hpp", "rtl/mine.sv", "hls/tb/mine.cpp"])
@pytest.mark.parametrize("rendered", [True, False])
def test_what_is_not_made_here_stays(tmp_path: Path, name: str, rendered: bool) -> None:
    """Beside a render it would be compiled too; where there is none, all is a user's."""
    if rendered:
        render(_TINY, tmp_path / "out")
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    (mine if rendered else mine.with_name("dispatcher.hpp")).write_text("// mine\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is of no render of this version"):
        render(config.resized(_TINY, name="other", max_hidden=16), tmp_path / "out")
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_list_of_one_k_renders_what_no_list_does(tmp_path: Path) -> None:
    texts = []
    for name, k_list in (("engine-1", ()), ("engine-2", (8,))):
        cfg = config.resized(_TINY, name=name, k_list=k_list)
        render(cfg, tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        own = re.compile(f"{name}|{cfg.digest}|{cfg.of('hls').digest}")
        texts.append([own.sub("", path.read_text()) for path in files])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", config.shipped())
def test_rendered_files_say_where_they_come_from(name: str, tmp_path: Path) -> None:
    """Each names the engine that it is part of, whichever the config was for."""
    cfg = config.load(name)
    for out, engine in (("out", "sv"), ("same", "hls")):
        render(cfg.of(engine), tmp_path / out)
    for template in paths.templates().glob("[hr]*/*.j2"):
        inside = template.relative_to(paths.templates())
        text = (tmp_path / "out" / inside.with_suffix("")).read_text()
        assert text == (tmp_path / "same" / inside.with_suffix("")).read_text()
        digest = cfg.of({"hls": "hls", "rtl": "sv"}[inside.parts[0]]).digest
        origin = f"Generated from templates/{inside.as_posix()} with config {name} ({digest})"
        assert text.startswith((f"// {origin}", f"# {origin}"))
        assert "//%" not in text and "${" not in text


def test_tanh_table_is_that_of_the_golden_model() -> None:
    base, slope = activation.table()
    lines = "".join(context(_TINY)["table"]["cpp_lines"])
    words = [int(word, 16) for word in lines.split(",")]
    assert words == ((base << activation.SLOPE_BITS) | slope).tolist()


@pytest.mark.skipif(_CLANG_FORMAT is None, reason="no clang-format: pip install clang-format")
@pytest.mark.parametrize("name", config.shipped())
def test_rendered_cpp_is_formatted(name: str, tmp_path: Path) -> None:
    render(config.load(name), tmp_path)
    style = paths.hardware().parent / ".clang-format"
    files = [path for path in (tmp_path / "hls").rglob("*.?pp") if path.name != "rtl_main.cpp"]
    done = subprocess.run(
        [str(_CLANG_FORMAT), f"--style=file:{style}", "--dry-run", "-Werror", *map(str, files)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
