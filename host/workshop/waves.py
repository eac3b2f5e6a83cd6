"""Timing diagrams: ``python -m workshop.waves`` draws docs/pictures/*.json5 with WaveDrom.

The pictures go into the folder that an engine is taken away in, see vendor/standalone.py.
"""

from __future__ import annotations

from pathlib import Path

from lstm_sharp import files, paths
from lstm_sharp.terminal import Parser, ended
from workshop import results

_FOLDER = "standalone/doc"


def drawn() -> dict[Path, str]:
    """Draw all diagrams: of each picture its text."""
    import wavedrom  # of `make setup`; nothing else needs it

    made = {}
    for source in sorted((results.DOCS / "pictures").glob("*.json5")):
        name = f"{_FOLDER}/{source.stem}.svg"
        svg = wavedrom.render(source.read_text(encoding="utf-8")).tostring()
        made[paths.templates() / name] = f"<!-- Generated from templates/{name} -->\n{svg}\n"
    return made


def _main() -> None:
    for path, text in drawn().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, text)


if __name__ == "__main__":
    Parser(description=(__doc__ or "").splitlines()[0]).parse_args()
    raise SystemExit(ended(_main))
