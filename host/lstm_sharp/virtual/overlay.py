"""Virtual overlays: a ``.bit`` that names an engine's config, and the ``.hwh`` beside it."""

from __future__ import annotations

import json
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.design import design
from lstm_sharp.flow.hwh import hwh

_MARK = (
    "This is no bitstream, but a virtual overlay of LSTM-Sharp: the config of its engine, as JSON."
)


def virtual_overlay(
    cfg: Config, folder: str | Path, name: str | None = None, board: str | None = None
) -> Path:
    """Write ``NAME.bit`` and ``NAME.hwh``; a file that would not change is left alone.

    Args:
        cfg: the engine; a virtual board runs the SystemVerilog one, so it is ``of("sv")``.
        folder: where to; it is made.
        name: of the overlay, by default the config's.
        board: whose addresses and clock it has; by default the config's, and pynq-z2 where that
            is for none.

    Returns:
        Path of the ``.bit``.

    Raises:
        UsageError: unknown board, or the files cannot be written.
        ToolError: Jinja2 is not installed.
    """
    cfg = cfg.of("sv")
    facts = {"identity": cfg.digest, "knobs": cfg.knobs()}
    bit = Path(folder) / f"{name or cfg.name}.bit"
    texts = {
        bit.with_suffix(".hwh"): hwh(design(cfg, board or board_of(cfg))),
        bit: f"{_MARK}\n{json.dumps(facts, indent=2)}\n",
    }
    try:
        bit.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror})") from None
    files.check_outputs([str(path) for path in texts], [])
    for path, text in texts.items():
        if not path.is_file() or path.read_bytes() != text.encode():
            files.write_text(str(path), text)
    return bit


def read_virtual(path: str | Path) -> Config:
    """Read the config of a virtual overlay.

    Args:
        path: of its ``.bit``.

    Raises:
        UsageError: it cannot be read, is a real bitstream or damaged, or its identity is not that
            of its knobs.
    """
    data = files.read_bytes(path)
    mark, _, text = data.partition(b"\n")
    if mark.rstrip() != _MARK.encode():
        raise UsageError(
            f"{path} is no virtual overlay, and a virtual board has nothing to run a bitstream "
            "on; write one with lstm_sharp.virtual.overlay.virtual_overlay"
        )
    with files.refusing(f"{path} is damaged", "write the virtual overlay again"):
        facts = files.parse_json(
            text, f"{path} is damaged; write the virtual overlay again: its config"
        )
        knobs, identity = dict(facts["knobs"]), facts["identity"]
    cfg = config.from_knobs(knobs, f"{path}: knobs")
    if cfg.digest != identity:
        raise UsageError(
            f"{path}: its knobs have the identity {cfg.digest}, it says {identity!r:.40}; write "
            "the virtual overlay again with this version"
        )
    return cfg
