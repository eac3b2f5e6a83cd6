"""The kernel checker: shipped kernels clean, and each rule broken by an edit of the real kernel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("clang.cindex", reason="no libclang: pip install libclang")

from lstm_sharp.engine import config
from lstm_sharp.flow.render import render
from vitis import text_cases
from workshop.checker import RULES, check
from workshop.checker.__main__ import main
from workshop.checker.pragmas import GRAMMAR, take_out
from workshop.checker.rules import WORDS

_TINY = config.load("tiny").of("hls")


def _broken() -> Iterator[tuple[str, ...]]:
    """Rule, file, part of the finding, what is there, what is put in its place: of each case."""
    for title, case in text_cases.read("broken_kernels.txt"):
        old, new = ("\n".join(case[sign]) for sign in "-+")
        yield (*title.replace(":", "", 1).split(maxsplit=2), old, new)


_BROKEN = list(_broken())


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered kernel of `tiny`."""
    folder = tmp_path_factory.mktemp("tiny")
    render(_TINY, folder)
    return folder


@pytest.fixture
def mine(kernel: Path, tmp_path: Path) -> Path:
    """A copy of it to be edited."""
    return shutil.copytree(kernel, tmp_path / "mine")


@pytest.mark.parametrize(
    ("name", "fmt"),
    [*((name, None) for name in config.shipped()), ("pynq-z2", "W16A16"), ("pynq-z2", "W8A8")],
)
def test_shipped_kernels_are_clean(name: str, fmt: str | None, tmp_path: Path) -> None:
    cfg = config.load(name).with_format(fmt).of("hls")
    render(cfg, tmp_path)
    assert check(tmp_path) == []


@pytest.mark.parametrize(
    ("rows", "columns", "k_list", "rest"),
    [
        (4, 8, (4, 8, 16), {}),
        (8, 16, (8, 16, 64), {"lanes": 2, "uram_columns": 5}),
        (16, 4, (16, 64), {"lanes": 2}),
    ],
)
def test_kernels_of_several_shapes_are_clean(
    rows: int, columns: int, k_list: tuple[int, ...], rest: dict[str, int], tmp_path: Path
) -> None:
    cfg = config.resized(_TINY, rows=rows, columns=columns, k_list=k_list, **rest)
    render(cfg, tmp_path)
    assert check(tmp_path) == []


@pytest.mark.parametrize(("rule", "name", "part", "old", "new"), _BROKEN)
def test_a_broken_kernel_is_found(
    rule: str, name: str, part: str, old: str, new: str, mine: Path
) -> None:
    path = _file(mine, name)
    text = path.read_text()
    assert old in text, "the kernel has changed: edit this case"
    path.write_text(text.replace(old, new, 1))
    found = [f for f in check(mine) if f.rule == rule and part in f.text]
    assert found, [str(f) for f in check(mine)]
    assert all(f"{f.path}:{f.line}: {rule}: " in str(f) and ";" in f.text for f in found)


def test_every_rule_is_broken_once() -> None:
    assert {case[0] for case in _BROKEN} == {*RULES, *WORDS, "choice", "scope", "library", "c++14"}


def test_every_pragma_of_the_kernel_is_seen(tmp_path: Path) -> None:
    """However deep it stands; those of vitis.hpp too, which csim never compiles."""
    # No pragma lies behind an #if that is off.
    cfg = config.resized(config.load("zcu104").of("hls"), weight_tiles=3072)
    render(cfg, tmp_path)
    wanted = set()
    for path in [tmp_path / "hls" / "top.cpp", *(tmp_path / "hls" / "kernel").glob("*.hpp")]:
        text = path.read_text().replace("#pragma HLS ", "#pragma HLS NO_")
        path.write_text(text)
        lines = enumerate(text.splitlines(), 1)
        name = path.relative_to(tmp_path).as_posix()
        wanted |= {(name, n) for n, line in lines if "#pragma HLS NO_" in line}
    found = {(f.path, f.line) for f in check(tmp_path) if "is unknown" in f.text}
    assert len(wanted) > 50 and found == wanted


def test_what_synthesis_does_not_see_is_not_checked(mine: Path) -> None:
    path = _file(mine, "compute")
    guarded = "#ifndef __SYNTHESIS__\n#include <vector>\nstd::vector<float> seen;\n#endif\n"
    path.write_text(path.read_text().replace("namespace lstm {", guarded + "namespace lstm {", 1))
    assert check(mine) == []


def test_wide_integers_may_be_allowed(mine: Path) -> None:
    path = _file(mine, "vitis")
    first = "#include <ap_axi_sdata.h>"
    wide = f"#define AP_INT_MAX_W 4096\n{first}\ntypedef ap_uint<2048> Wide;"
    path.write_text(path.read_text().replace(first, wide))
    assert check(mine) == []


def test_pragmas_keep_their_lines() -> None:
    pragmas: list = []
    text = "#pragma once\nint a;\n#pragma HLS STREAM \\\n  variable = a depth = 2  // so\nint b;\n"
    taken = take_out(text, "x.hpp", pragmas).split("\n")
    assert len(taken) == len(text.split("\n")) and taken[0] == "#pragma once"
    assert taken[4] == "int b;"
    assert [(p.line, dict(p.options)) for p in pragmas] == [(3, {"variable": "a", "depth": "2"})]


def test_the_grammar_is_consistent() -> None:
    for name, directive in GRAMMAR.items():
        assert set(directive.required) <= set(directive.options), name
        assert name.startswith("INTERFACE") == (directive.where == "top"), name


def test_command_line(
    mine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tiny", "pynq-z2", "zcu104"]) == 0
    lines = [f"{name}: kernel clean" for name in ("tiny", "pynq-z2", "zcu104")]
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["no-such-config"]) == 2
    assert "no-such-config" in capsys.readouterr().err
    monkeypatch.setattr("workshop.checker.__main__.render", lambda cfg, folder: None)
    monkeypatch.setattr("lstm_sharp.flow.tools.build_folder", lambda cfg: mine)
    path = _file(mine, "compute")
    path.write_text(path.read_text().replace("style = flp", "style = flip"))
    assert main(["tiny"]) == 1
    out = capsys.readouterr().out
    assert re.fullmatch(r"hls/kernel/compute\.hpp:\d+: pragma: style = flip is [^\n]+\n", out)


def _file(folder: Path, name: str) -> Path:
    hls = folder / "hls"
    return next(hls.glob(f"{name}.?pp"), hls / "kernel" / f"{name}.hpp")
