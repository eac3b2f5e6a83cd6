"""What Vitis HLS writes of a kernel: the files beside this one, with the memories it has."""

from __future__ import annotations

from pathlib import Path

from lstm_sharp.engine.config import Config
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import reports

HERE = Path(__file__).parent
FILES = ("csynth.xml", "csynth.log", "lstm_sharp_cosim.rpt", "component.xml")
_NODE = (
    '<BindNode BINDTYPE="storage" BRAM="0" BUNDLEDNAME="" DISPNAME="bind_storage {kind}" DSP="0" '
    'ID="" IMPL="{place}" LATENCY="1" LOOP="" OPTYPE="{kind}" PRAGMA="pragma" RTLNAME="{name}_U" '
    'SOURCE="kernel/compute.hpp:14" URAM="0" VARIABLE="{name}"/>'
)


def make(cfg: Config, folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the files of a config's kernel; each change puts a text in place of another.

    Each array that the kernel binds has two parts there, one of them named as those of a static
    array are.
    """
    render(cfg, folder / "rendered")
    nodes = []
    for name, asked in reports.bindings(folder / "rendered" / "hls").items():
        kind, place = asked.split(" in ")
        for part in (f"p_ZZN4lstm7computeENS_6HeaderEE{len(name)}{name}_0", f"{name}_1"):
            nodes.append(_NODE.format(kind=kind, place=place, name=part))
    for file in FILES:
        text = (HERE / file).read_text()
        text = text.replace("<BindNodes/>", f"<BindNodes>{''.join(nodes)}</BindNodes>")
        for old, new in changes:
            text = text.replace(old, new)
        (folder / file).write_text(text)
    return folder
