"""``make paper`` and ``lstm-sharp paper``: model, measure, and write docs/paper/ or another folder.

What was modelled of the same sources and facts is taken over, and so is what was measured, unless
it is asked for anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from lstm_sharp.terminal import Parser, ended, say
from workshop import results
from workshop.paper import cpu, energy, gpu, networks, page, rivals, utilisation
from workshop.paper.drawing import PICTURES

_HOME = results.DOCS / "paper"
_MODEL = Path(__file__).parents[2] / "lstm_sharp"


def main(arguments: list[str] | None = None) -> int:
    """Redo the page; return the exit status."""
    parser = Parser(prog="paper", description="Redo the paper's tables and figures.")
    parser.add_argument("-o", "--output", metavar="DIR", default=str(_HOME), help="folder to fill")
    parser.add_argument("--measure", action="store_true", help="measure the processor anew")
    parser.add_argument("--gpu", action="store_true", help="time PyTorch on the GPU that is here")
    options = parser.parse_args(arguments)
    return ended(lambda: make(Path(options.output), options.measure, options.gpu))


def make(folder: Path, measure: bool = False, with_gpu: bool = False) -> None:
    """Make the page.

    Args:
        folder: where README.md, pictures and JSON go; it is made if it is not there.
        measure: measure the processor even if figures of it are there.
        with_gpu: time the GPU.

    Raises:
        UsageError: the folder cannot be written, facts are missing, or there is no GPU.
    """
    names = ["README.md", "modelled.json", "measured.json", "published.json"]
    names += [f"{name}.png" for name in PICTURES]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made a folder ({error.strerror}); name another"
        ) from None
    files.check_outputs([str(folder / name) for name in names], ())
    if with_gpu:
        gpu.check()
    published = results.read("paper/published")
    modelled = _modelled(published)
    measured = results.read("paper/measured") if (_HOME / "measured.json").is_file() else {}
    if measure or "cpu" not in measured:
        measured = {**measured, "cpu": cpu.study()}
    if with_gpu:
        measured = {**measured, "gpu": gpu.study()}
    told = {"published": published, "modelled": modelled, "measured": measured}
    found = json.loads(json.dumps(told))  # as it is read again
    found["simulated"] = results.read("arrays")["simulated"]
    with tempfile.TemporaryDirectory() as made:
        _fill(Path(made), folder, found)
        for name in names:
            files.write_bytes(str(folder / name), (Path(made) / name).read_bytes())
    say(f"{folder / 'README.md'}: {len(page.TABLES)} tables, {len(PICTURES)} pictures")


def _fill(made: Path, folder: Path, found: page.Found) -> None:
    """Make all files of the page, as they will stand in a folder."""
    for name, draw in PICTURES.items():
        draw(page.drawn(found), made / f"{name}.png")
    for name in ("modelled", "measured"):
        (made / f"{name}.json").write_text(json.dumps(found[name], indent=1) + "\n", "utf-8")
    shutil.copy(_HOME / "published.json", made)
    text = (_HOME / "README.md").read_text("utf-8")
    text = results.fill(text, lambda name: results.markdown(page.TABLES[name](found)))
    if folder.resolve() != _HOME:
        text = text.replace("](../", f"]({os.path.relpath(results.DOCS, folder)}/")
    (made / "README.md").write_text(text, "utf-8")


def _modelled(published: dict[str, Any]) -> dict[str, Any]:
    """Model all parts, or take over what was modelled of the same sources and facts."""
    before = results.read("paper/modelled") if (_HOME / "modelled.json").is_file() else {}
    found: dict[str, Any] = {}

    def part(name: str, modules: tuple[Any, ...], made: Callable[[], dict[str, Any]]) -> None:
        own = [Path(module.__file__) for module in modules]
        sources = sorted([*_MODEL.glob("compiler/*.py"), *_MODEL.glob("engine/*.py")])
        known = {"published": published, **{k: v["of"] for k, v in found.items()}}
        of = tools.digest([*sources, *own], json.dumps(known))
        same = before.get(name, {}).get("of") == of
        found[name] = before[name] if same else {"of": of, **made()}

    part("utilisation", (utilisation,), utilisation.study)
    lists = {
        row["macs"]: ",".join(map(str, row["k_list"]))
        for row in found["utilisation"]["reconfiguration"]
        if row["chains"] == 1
    }
    part("rivals", (rivals,), lambda: rivals.study(published, lists))
    chain = found["rivals"]["chain"]
    part("networks", (networks,), lambda: networks.study(published, chain))
    part("energy", (energy,), lambda: energy.study(found["utilisation"]["best_k"]))
    return found


if __name__ == "__main__":
    sys.exit(main())
