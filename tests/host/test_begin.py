"""What one begins with: doctor, new, completion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graph_cases
from lstm_sharp import cli, doctor
from lstm_sharp.engine import config
from models import contents, pytorch_like, torch_names


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert cli.main(arguments) == status, capsys.readouterr().err
    return capsys.readouterr()


def test_doctor_tells_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = _said(capsys, "doctor", "--json", "d.json")
    found = {one["name"]: one for one in json.loads(Path("d.json").read_text())["found"]}
    assert list(found) == list(doctor.WANTS)
    for name in ("graph", "csim", "rtl", "synth", "cluster", "draw", "shell", "cosim"):
        assert found[name]["here"], found[name]
    assert re.fullmatch(r"g\+\+ \d+\.\d+\.\d+, jinja2 [\d.]+", found["csim"]["told"])
    assert found["rtl"]["told"].startswith("Verilator 5.")
    here, _, lacks = out.partition("Lacks here:")
    for name, one in found.items():
        assert f"\n  {name:<9}{one['does']}" in (here if one["here"] else lacks)
    assert max(map(len, out.splitlines())) <= 80


def test_doctor_names_the_command_that_brings_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any extra and any tool each want but a checkout's says how it is to be had."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr("lstm_sharp.flow.verilate.find_spec", lambda name: None)
    monkeypatch.setenv("LSTM_SHARP_VIRTUAL", "pynq-z2")
    found = {one.name: one for one in doctor.look()}
    assert not any(one.here for one in found.values())
    for name in ("graph", "train", "synth", "cluster", "draw", "shell", "virtual", "rtl"):
        extra = {"rtl": "sim"}.get(name, name)
        assert f"'lstm-sharp[{extra}]'" in found[name].told or sys.version_info >= (3, 13)
    assert "sudo apt-get install g++" in found["csim"].told
    assert "make setup" in found["cosim"].told
    assert "XILINX_SETTINGS" in found["vitis"].told and "XILINX_SETTINGS" in found["vivado"].told
    assert "unset it" in found["board"].told


def test_doctor_is_asked_for_something(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = _said(capsys, "doctor", "csim", "vivado", status=3)
    assert "rtl" not in out and err == (
        "lstm-sharp: vivado: not here; lstm-sharp doctor says how to get it\n"
    )
    _said(capsys, "doctor", "csim")
    _, err = _said(capsys, "doctor", "csimm", status=2)
    assert "'csimm' is nothing to look for; there are graph, csim" in err


def test_new_gives_an_example_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = _said(capsys, "new", "mine")
    assert out.splitlines()[-1] == "next: make -C mine compare"
    out, _ = _said(capsys, "new", "a space")
    assert "Verilator takes no path with a space" in out and "make -C 'a space' compare" in out
    assert set(contents("mine")) == {
        *("Makefile", "README.md", "labels.npy", "model.onnx", "pynq-z2.json", "x.npy")
    }
    assert config.load("mine/pynq-z2.json") == config.load("pynq-z2")
    assert len(Path("mine/Makefile").read_text().splitlines()) == 5
    made = _make("mine", "compare")
    (line,) = [line for line in made.splitlines() if line.startswith("W8A16")]
    assert line.endswith("100.00%") or float(line.split()[-1][:-1]) > 95


def _make(folder: str, *targets: str) -> str:
    run = [sys.executable, "-m", "lstm_sharp"]
    Path("bin").mkdir(exist_ok=True)
    script = Path("bin/lstm-sharp")
    script.write_text(f'#!/bin/sh\nexec {run[0]} -m lstm_sharp "$@"\n')
    script.chmod(0o755)
    path = f"{script.parent.resolve()}:{Path(sys.executable).parent}:/usr/bin:/bin"
    env = {"PATH": path, "PYTHONPATH": str(Path(doctor.__file__).parents[1])}
    done = subprocess.run(
        ["make", "-C", folder, *targets], env=env, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def test_new_takes_a_model_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("m.npz", **torch_names(pytorch_like(0, (5, 8))))
    np.save("x.npy", np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 3, 5))
    own = ("--model", "m.npz", "--calibration", "x.npy")
    _said(capsys, "new", "mine", *own, "--board", "zcu104")
    assert np.load("mine/x.npy").dtype == np.float32
    assert Path("mine/model.npz").read_bytes() == Path("m.npz").read_bytes()
    assert "LSTM_SHARP_VIRTUAL=zcu104 " in Path("mine/Makefile").read_text()
    assert set(contents("mine")) >= {"zcu104.json", "x.npy"}
    _make("mine", "compare", "report", "pack")
    assert Path("mine/package/package.json").is_file() and Path("mine/report.html").is_file()
    before = Path("mine/Makefile").read_bytes()
    _, err = _said(capsys, "new", "mine", *own, status=2)
    assert "'mine' is no new or empty folder" in err
    assert Path("mine/Makefile").read_bytes() == before and Path("mine/package").is_dir()


def test_new_takes_a_whole_graph(capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    case = graph_cases.draw("between", 0)
    onnx.save(case.model, "g.onnx", save_as_external_data=True, size_threshold=0)
    given = []
    for name, value in case.feeds.items():
        np.save(f"{name}.npy", value)
        given += ["--calibration", f"{name}={name}.npy"]
    _said(capsys, "new", "mine", "--model", "g.onnx", *given)
    shutil.rmtree("moved", ignore_errors=True)
    Path("mine").rename("moved")
    _make("moved", "compare", "report")
    assert Path("moved/graph.svg").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["new", ""], "'' is no new or empty folder"),
        (["new", "no/where"], "no is no folder; make it first"),
        (["new", "a", "--model", "m.npz"], "give --calibration as well, or neither"),
        (["new", "a", "--calibration", "x.npy"], "give --model as well, or neither"),
        (["new", "/proc/a"], "/proc/a cannot be made ("),
        (["new", "a", "--board", "none"], "no config for none holds"),
        (["new", "a", "--board", "nono"], "board 'nono' is unknown"),
        (["new", "a", "--model", "m.npz", "--calibration", "m.npz"], "m.npz"),
        (["new", "a", "--model", "w.npz", "--calibration", "x.npy"], "no config for pynq-z2"),
    ],
)
def test_bad_input_leaves_nothing(
    given: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("m.npz", **torch_names(pytorch_like(0, (5, 8))))
    np.savez("w.npz", **torch_names(pytorch_like(0, (5, 1500))))
    np.save("x.npy", np.linspace(-1, 1, 30, dtype=np.float32).reshape(2, 3, 5))
    before = set(folder.iterdir())
    _, err = _said(capsys, *given, status=2)
    assert told in err and err.count("\n") == 1 and set(folder.iterdir()) == before


def test_completion(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("zsh", "tcsh"):
        assert "explore" in _said(capsys, "completion", shell)[0]
    Path("c.bash").write_text(_said(capsys, "completion", "bash")[0])
    Path("model.onnx").touch()
    for words, want in (
        ("lstm-sharp fi", {"fit"}),
        ("lstm-sharp fit --board pynq", {"pynq-z1", "pynq-z2"}),
        ("lstm-sharp run --backend g", {"golden"}),
        ("lstm-sharp fit mod", {"model.onnx"}),
        ("lstm-sharp doctor vi", {"virtual", "vitis", "vivado"}),
    ):
        parts = words.split()
        script = (
            f"source ./c.bash; COMP_WORDS=({words}); COMP_CWORD={len(parts) - 1}; "
            f"_shtab_lstm_sharp {parts[0]} {parts[-1]} {parts[-2]}; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        run = ["bash", "-c", script]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == want, (words, done)
