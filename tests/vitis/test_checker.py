"""The kernel checker: shipped kernels clean, and each rule broken by an edit of the real kernel."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("clang.cindex", reason="no libclang: pip install libclang")

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow.render import render
from vitis import text_cases
from workshop.checker import RULES, check, main
from workshop.checker.pragmas import GRAMMAR, take_out
from workshop.checker.rules import WORDS

_TINY = config.load("tiny").of("hls")
_SHAPES: tuple[dict[str, object], ...] = (
    {"rows": 4, "columns": 8, "k_list": (4, 8, 16)},
    {"rows": 8, "columns": 16, "k_list": (8, 16, 64), "lanes": 2, "uram_columns": 5},
    {"rows": 16, "columns": 4, "k_list": (16, 64), "lanes": 2},
)
CLEAN = {
    **{name: config.load(name).of("hls") for name in config.shipped()},
    **{fmt: config.load("pynq-z2").with_format(fmt).of("hls") for fmt in ("W16A16", "W8A8")},
    **{f"shapes {at}": config.resized(_TINY, **knobs) for at, knobs in enumerate(_SHAPES)},
}


class Broken(NamedTuple):
    """A case of broken_kernels.txt: what is there, and what is put in its place."""

    rule: str
    name: str  # of the file
    part: str  # of the finding
    old: str
    new: str


def _broken() -> Iterator[Broken]:
    for title, case in text_cases.read("broken_kernels.txt"):
        old, new = ("\n".join(case[sign]) for sign in "-+")
        yield Broken(*title.replace(":", "", 1).split(maxsplit=2), old, new)


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


@pytest.mark.parametrize("cfg", CLEAN.values(), ids=CLEAN)
def test_kernels_are_clean(cfg: Config, tmp_path: Path) -> None:
    render(cfg, tmp_path)
    assert check(tmp_path) == []


@pytest.mark.parametrize("first", range(8))
def test_broken_kernels_are_found(first: int, kernel: Path, tmp_path: Path) -> None:
    """Several cases at once, one a file; and once more alone those that others hide."""
    by_file: dict[str, list[Broken]] = {}
    for case in _BROKEN[first::8]:
        by_file.setdefault(case.name, []).append(case)
    hidden: list[Broken] = []
    for at, together in enumerate(zip_longest(*by_file.values())):
        mine = shutil.copytree(kernel, tmp_path / str(at))
        hidden += _missed(mine, [case for case in together if case])
    for case in hidden:
        assert not _missed(
            shutil.copytree(kernel, tmp_path / f"{hidden.index(case)} alone"), [case]
        )


def _missed(mine: Path, cases: list[Broken]) -> list[Broken]:
    """Break a kernel in several ways; return those that are not found."""
    for case in cases:
        path = _file(mine, case.name)
        text = path.read_text()
        assert case.old in text, f"the kernel has changed: edit {case}"
        path.write_text(text.replace(case.old, case.new, 1))
    found = check(mine)
    assert all(str(f).startswith(f"{f.path}:{f.line}: {f.rule}: ") and ";" in f.text for f in found)
    return [c for c in cases if not any(f.rule == c.rule and c.part in f.text for f in found)]


def test_every_rule_is_broken_once() -> None:
    rules = {case.rule for case in _BROKEN}
    assert rules == {*RULES, *WORDS, "choice", "scope", "library", "c++14"}


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


def test_what_synthesis_does_not_see_and_wide_integers_may_be(mine: Path) -> None:
    guarded = "#ifndef __SYNTHESIS__\n#include <vector>\nstd::vector<float> seen;\n#endif\n"
    compute, vitis = _file(mine, "compute"), _file(mine, "vitis")
    compute.write_text(
        compute.read_text().replace("namespace lstm {", guarded + "namespace lstm {", 1)
    )
    first = "#include <ap_axi_sdata.h>"
    wide = f"#define AP_INT_MAX_W 4096\n{first}\ntypedef ap_uint<2048> Wide;"
    vitis.write_text(vitis.read_text().replace(first, wide))
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
    assert main(["tiny"]) == 0
    assert capsys.readouterr().out == "tiny: kernel clean\n"
    assert main(["no-such-config"]) == 2
    assert "no-such-config" in capsys.readouterr().err
    monkeypatch.setattr("workshop.checker.render", lambda cfg, folder: None)
    monkeypatch.setattr("lstm_sharp.flow.tools.build_folder", lambda cfg: mine)
    path = _file(mine, "compute")
    path.write_text(path.read_text().replace("style = flp", "style = flip"))
    assert main(["tiny"]) == 1
    out = capsys.readouterr().out
    assert re.fullmatch(r"hls/kernel/compute\.hpp:\d+: pragma: style = flip is [^\n]+\n", out)


def _file(folder: Path, name: str) -> Path:
    hls = folder / "hls"
    return next(hls.glob(f"{name}.?pp"), hls / "kernel" / f"{name}.hpp")
