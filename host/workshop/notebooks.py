"""Runs the notebooks on a virtual board and stores what they print and draw: ``make notebooks``.

Numbers with a point, and steps a second, may be of this machine; all other text is of any.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import lstm_sharp.notebooks
from lstm_sharp.engine.boards import VIRTUAL

FOLDER = Path(lstm_sharp.notebooks.__path__[0])
SHOWN = ("text/plain", "image/png")
"""Kinds of what a cell displays that are stored; the rest, scripts, is of the session that ran."""


def run(path: Path, where: Path) -> Any:
    """Run a notebook in a folder, on a virtual PYNQ-Z2; give it with its outputs.

    Raises:
        Exception: a cell fails.
    """
    import nbclient
    import nbformat

    for name in ("BOARD", VIRTUAL):
        os.environ.pop(name, None)
    notebook = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(where)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each ran
        shown = []
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {kind: v for kind, v in output.data.items() if kind in SHOWN}
            if output.get("data", True):
                shown.append(output)
        if "outputs" in cell:
            cell.outputs = shown
    return notebook


def text(notebook: Any) -> str:
    """Return all that a notebook printed, without numbers that may be seconds."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    return re.sub(r"\d+(\.\d+| steps/s)", "#", printed)


def main() -> None:
    """Run and store all."""
    import nbformat

    for path in sorted(FOLDER.glob("*.ipynb")):
        print(f"{path.name} ...", file=sys.stderr)
        with tempfile.TemporaryDirectory() as where:
            Path("build").mkdir(exist_ok=True)
            Path(where, "build").symlink_to(Path("build").resolve(), target_is_directory=True)
            notebook = run(path, Path(where))
        # As tools write it: the language's own record of its version is not ours to keep.
        notebook.metadata.get("language_info", {}).pop("version", None)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
