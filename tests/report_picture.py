"""Takes the documentation's picture of a report: the demo's model, in both colour schemes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

import browser
from lstm_sharp import load
from lstm_sharp.engine import config
from lstm_sharp.model import Model
from lstm_sharp.report import page
from workshop import pictures, results

VOWELS = results.DOCS.parent / "examples" / "vowels"
CONFIG, SEQUENCES = "pynq-z2", 64
_SIDES = 180, 1100
"""Left and right end of what is shown, in pixels."""
_GAP = 12


def main() -> None:
    told, cfg = np.load(VOWELS / "vowels_test.npz"), config.load(CONFIG)
    model = load(VOWELS / "vowels.onnx")
    assert isinstance(model, Model)
    made = page(model, cfg, told["x"][:SEQUENCES], told["calib_x"])
    found = {"identity": cfg.digest, "sequences": SEQUENCES, "verdict": list(made.verdict)}
    results.write("report", found)
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "page.html").write_text(made.text)
        light, _ = _shot(here, "light")
        dark, tops = _shot(here, "dark")
    begin, end = tops["timeline"], tops["memory"]
    wide, high = _SIDES[1] - _SIDES[0], end - begin
    whole = Image.new("RGB", (2 * wide + _GAP, high), "white")
    whole.paste(light.crop((_SIDES[0], 0, _SIDES[1], high)), (0, 0))
    whole.paste(dark.crop((_SIDES[0], begin, _SIDES[1], end)), (wide + _GAP, 0))
    about = PngImagePlugin.PngInfo()
    about.add_text("Source", pictures.drawn_from("report", found))
    whole.quantize(64).save(results.DOCS / "pictures" / "report.png", pnginfo=about)


def _shot(here: Path, scheme: str) -> tuple[Image.Image, dict[str, int]]:
    """Return a whole page, and where its sections begin."""
    command = [sys.executable, browser.__file__, here / "page.html", here, scheme]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "LOOK": "1"}
    )
    wide = browser.WIDTHS[0]
    tops = json.loads(done.stdout)["seen"][str(wide)]["tops"]
    with Image.open(here / f"{scheme}-{wide}.png") as shot:
        return shot.copy(), {k: int(v) for k, v in tops.items()}


if __name__ == "__main__":
    main()
