"""The Tcl for Vitis HLS under a stub that knows the tool's commands, and what runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import csim, hls_rtl, jobs, tools
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import vitis
from vitis import hls_reports
from vivado_user import on_path, tcl

HERE = Path(__file__).parent
Change = tuple[str, str]
RELEASES = ("2022.2", "2023.1", "2023.2", "2024.1", "2024.2", "2025.1", "2025.2")
SETTINGS = ["set_part", "create_clock", "set_clock_uncertainty", "config_compile",
            "config_array_partition", "config_interface", "config_rtl"]  # fmt: skip
DESIGNS = ["csim_design", "csynth_design", "cosim_design", "export_design"]


def stub(folder: Path, release: str, fails: str = "") -> subprocess.CompletedProcess[str]:
    out = folder / "vitis"
    out.mkdir(exist_ok=True)
    script = folder / "hls" / "run_hls.tcl"
    command = [*tcl(), HERE / "vitis_stub.tcl", release, script, HERE, fails]
    return subprocess.run(
        list(map(str, command)), cwd=out, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", config.shipped())
def test_script_passes_under_each_release(name: str, release: str, tmp_path: Path) -> None:
    render(config.load(name), tmp_path)
    done = stub(tmp_path, release)
    assert done.returncode == 0, done.stdout + done.stderr
    called = [line[8:] for line in done.stdout.splitlines() if line.startswith("called: ")]
    files, new = ["set_top", "add_files", "add_files"], release >= "2024.2"
    opened = ["open_component", *files] if new else ["open_project", *files, "open_solution"]
    assert called == opened + SETTINGS + DESIGNS
    assert done.stdout.splitlines()[-1] == "lstm-sharp: done"


@pytest.mark.parametrize(
    ("text", "instead", "said"),
    [
        ("config_rtl -reset", "config_rtl -rest", "unknown option -rest"),
        ("-flow_target vivado", "-flow_target board", "has no value 'board'"),
        ("-pipeline_style flp", "-pipeline_style free", "has no value 'free'"),
        ("config_interface ", "config_interfaces ", "invalid command name"),
        ("set_top lstm_sharp", "", "top is missing"),
        ("csynth_design }", "}", "csynth_design is missing"),
        ("add_files -tb", "add_files", "tb is missing"),
        ("xc7z020clg400-1", "xc7z099clg400-1", "is not installed"),
        ("$hls/top.cpp", "$hls/tip.cpp", "no file"),
        ("-I$hls", "-I$hls/no", "no folder"),
        ("create_clock -period 10.000 -name default", "", "is missing"),
    ],
)
def test_a_wrong_script_fails(text: str, instead: str, said: str, tmp_path: Path) -> None:
    render(config.load("tiny"), tmp_path)
    script = tmp_path / "hls" / "run_hls.tcl"
    assert text in script.read_text()
    script.write_text(script.read_text().replace(text, instead))
    for release in ("2022.2", "2025.1"):
        done = stub(tmp_path, release)
        assert done.returncode == 1 and said in done.stdout, done.stdout
        assert "FAILED" in done.stdout.splitlines()[-1]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a ``vitis_hls`` or ``vitis-run`` on PATH that is the stub, with changed reports."""

    def install(
        release: str, fails: str = "", name: str = "vitis_hls", changes: tuple[Change, ...] = ()
    ) -> None:
        shutil.rmtree(tmp_path / "tool", ignore_errors=True)
        made = hls_reports.make(config.load("tiny"), tmp_path / "reports", *changes)
        words = " ".join(f"'{word}'" for word in [*tcl(), HERE / "vitis_stub.tcl", release])
        script = (
            f'[ "$1" = -version ] && exec echo "Vitis HLS v{release} (64-bit)"\n'
            f"exec {words} \"${{@: -1}}\" '{made}' '{fails}'"
        )
        on_path(monkeypatch, tmp_path / "tool" / name, script)

    return install


def hls(tmp_path: Path, *more: str) -> tuple[int, Path]:
    """Run ``make hls``; csim is the one that other tests have built."""
    build, cfg = tmp_path / "build", config.load("tiny").of("hls")
    folder = tools.build_folder(cfg, build)
    folder.mkdir(parents=True, exist_ok=True)
    made = csim.build(cfg, Path("build"))
    for name in (made.name, f"{made.name}.made-from"):
        shutil.copy(made.with_name(name), folder)
    out = folder / hls_rtl.FOLDER
    return vitis.main(["tiny", "--build", str(build), *more]), out


@pytest.mark.csim
@pytest.mark.parametrize(
    ("release", "name"), [("2022.2", "vitis_hls"), ("2025.1", "vitis-run"), ("2027.1", "vitis-run")]
)
def test_make_hls(
    release: str, name: str, tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool(release, name=name)
    status, out = hls(tmp_path)
    said = capsys.readouterr()
    assert status == 0, said.err
    assert f"Vitis HLS {release}" in said.out and "cycles of cosim: 230 to 390" in said.out
    assert ("is newer" in said.out) == (release > "2025.2")
    assert json.loads((out / "report.json").read_text())["failures"] == []
    assert "called: export_design" in (out / "vitis.log").read_text()
    assert hls_rtl.read_stamp(out)["tool"] == release


@pytest.mark.csim
def test_make_hls_fails_on_what_the_tool_lets_pass(
    tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What that is, test_reports.py looks at."""
    deep = "<PipelineII>1</PipelineII><PipelineDepth>{}</PipelineDepth>"
    tool("2024.1", changes=((deep.format(20), deep.format(60)),))
    status, out = hls(tmp_path, "--stages", "csynth")
    said = capsys.readouterr().err
    assert status == 1 and re.search('^FAILED: .*"min_tail": 6[0-9] into the config', said), said
    assert json.loads((out / "report.json").read_text())["failures"]
    assert hls(tmp_path, "--read")[0] == 1


@pytest.mark.csim
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("csim_design", "failed in csim: ERROR: [HLS 1-1] csim_design went wrong"),
        ("cosim_design", "failed in cosim"),
        ("quits in cosim_design", "failed in cosim: the tool was broken off; "),
        ("killed in csynth_design", "failed in csynth: the tool was broken off; "),
    ],
)
def test_a_run_that_fails_leaves_nothing_to_take_for_new(
    fails: str, said: str, tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool("2024.1")
    assert hls(tmp_path, "--stages", "csim,csynth")[0] == 0
    tool("2024.1", fails)
    status, out = hls(tmp_path)
    told = capsys.readouterr().err
    assert status == 3 and said in told and str(out / "vitis.log") in told
    with pytest.raises(UsageError, match="no run of Vitis HLS came to its end"):
        hls_rtl.read_stamp(out)
    assert hls(tmp_path, "--read")[0] == 2


def test_bad_tools_and_stages(
    tool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool("2021.1")
    assert hls(tmp_path)[0] == 3 and "is of release 2021.1" in capsys.readouterr().err
    assert hls(tmp_path, "--stages", "cosim")[0] == 2
    assert "the last two need csynth" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert hls(tmp_path)[0] == 3
    told = capsys.readouterr().err
    assert "vitis-run or vitis_hls is not on PATH" in told and told.count("\n") == 1
    assert "make csim" in told


@pytest.mark.csim
def test_bench_ends_badly_on_any_difference(tmp_path: Path) -> None:
    cfg = config.load("tiny").of("hls")
    folder = tools.build_folder(cfg, tmp_path)
    render(cfg, folder)
    vitis.write_job(cfg, vitis.small_model(), folder / "vectors", Path("build"))
    units = ["hls/top.cpp", "hls/tb/vitis_main.cpp"]
    command = ["g++", *csim.FLAGS, "-I", "hls", *units, "-o", "bench"]
    tools.run(command, folder, folder / "bench.log")
    want = folder / "vectors" / "want"
    with want.open("rb") as file:
        results = [jobs.read_result(file) for _ in range(jobs.begin_results(file))]
    load, good, *rest = results
    bit = good.h_bytes ^ (1 << (good.h_bytes.size % 7))
    for wrong in (
        results,
        [load, replace(good, h_bytes=bit), *rest],
        [replace(load, status=3), good, *rest],
        results[:-1],
    ):
        jobs.write_results(want, wrong)
        done = subprocess.run(["./bench", "vectors/job", "vectors/want"], cwd=folder, check=False)
        assert done.returncode == (wrong is not results)
