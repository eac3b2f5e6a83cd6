"""`make qualify`: from reports to a row of docs/qualified.md; the tools are stubs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.vendor import qualify
from workshop import results, tables

pytest.importorskip("pynq")

SEEN = {"release": "2024.1", "loops": {"Slots": [1, 21]}}
BUILT = {
    "vivado": "2024.1",
    "slack_ns": {"setup": 0.5, "hold": 0.04},
    "used": {"lut": 23000, "dsp": 216, "bram36": 126},
}


@pytest.mark.rtl
def test_from_tools_to_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pynq

    from lstm_sharp import package
    from lstm_sharp.driver import proof
    from lstm_sharp.engine import config
    from lstm_sharp.flow.design import design
    from lstm_sharp.flow.hwh import hwh
    from lstm_sharp.virtual import activate
    from lstm_sharp.virtual.overlay import virtual_overlay

    def build(cfg: Config, board: str, **_: object) -> Path:
        """Build an overlay that a virtual board takes, whose handoff is that of the engine."""
        bit = virtual_overlay(cfg, tmp_path / "built", board=board)
        bit.with_suffix(".hwh").write_text(hwh(design(cfg, board)))
        bit.with_suffix(".json").write_text(json.dumps(BUILT))
        return bit

    monkeypatch.setattr(qualify.vivado, "build", build)
    monkeypatch.setattr(qualify.xilinx, "find", lambda *_: Path("vivado"))
    monkeypatch.setattr(qualify, "_synthesised", lambda *_: SEEN)
    monkeypatch.setattr(qualify, "_simulated", lambda *_: "22 passed")
    told = ["pynq-z2", "--config", "tiny", "--build", str(tmp_path / "build"), "--engine"]
    for engine in ("hls", "sv"):
        assert qualify.main([*told, engine]) == 0
        cfg = config.load("tiny").of(engine)
        made = tmp_path / "build" / f"tiny-{cfg.digest}" / f"qualify-pynq-z2-{engine}"
        assert package.read(made).cfg == cfg
        begun = json.loads((made / "qualification.json").read_text())
        assert (begun["engine"], begun["identity"]) == (engine, cfg.digest)
        assert begun.get("vitis") == (SEEN if engine == "hls" else None)
        assert "run.py` there" in capsys.readouterr().out

    before = pynq.Device.active_device
    repository = Path.cwd()
    device = activate("pynq-z2")
    device._build = repository / "build"  # where other tests have built the engine
    try:
        monkeypatch.chdir(tmp_path)
        assert proof.main(made, []) == 0
    finally:
        before.activate()
    assert "PASS" in capsys.readouterr().out
    done = json.loads(Path("qualified-pynq-z2-sv.json").read_text())
    assert done["on_board"]["bits"] == "all right" and done["on_board"]["virtual"]

    monkeypatch.setattr(results, "DOCS", tmp_path)
    assert tables.qualified()[1:] == []
    place = tmp_path / "results" / "qualified" / "one.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(done))
    with pytest.raises(UsageError, match="completed on a virtual board"):
        tables.qualified()
    done["on_board"]["virtual"] = False
    place.write_text(json.dumps(done))
    slack = "setup 0.5, hold 0.04"
    assert tables.qualified()[1][:5] == ["pynq-z2", "sv", "Vivado 2024.1", ", ", slack]
    place.write_text(json.dumps({**done, "vitis": SEEN, "engine": "hls"}))
    both = "Vitis HLS 2024.1, Vivado 2024.1"
    assert tables.qualified()[1][:5] == ["pynq-z2", "hls", both, "1, 21", slack]


def test_without_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert qualify.main(["pynq-z2", "--build", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "vivado is not on PATH" in said and said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_rtl_that_fails_its_tests_is_not_packaged(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"the RTL fails its tests .*cosim-vhdl\.log"):
        qualify._simulated(tmp_path, "vhdl")
