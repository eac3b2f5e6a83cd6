"""What the driver finds in an overlay: engine, DMA channels, clock."""

from __future__ import annotations

import os
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any

from lstm_sharp.board.errors import OverlayGone, WrongOverlay
from lstm_sharp.engine import boards, config
from lstm_sharp.engine.boards import VIRTUAL
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import DMA_CELL, DMA_VLNV, ENGINE_VLNVS, WEIGHTS_DMA_CELL
from lstm_sharp.errors import LstmSharpError, ToolError, UsageError
from lstm_sharp.numerics.formats import USUAL


def device_of(overlay: str | Path | Any) -> Any:
    """Return the ``pynq.Device`` that an overlay is on, or a file would be loaded on.

    Raises:
        ToolError: pynq is missing.
        UsageError: a board is.
    """
    if os.environ.get(VIRTUAL):
        import lstm_sharp.virtual
    try:
        import pynq
        import pynq.lib.dma

        import lstm_sharp.board.ip  # noqa: F401  (binds the driver to the engine)
    except ImportError as error:
        raise ToolError(
            f"pynq cannot be imported ({error}): on a board use PYNQ's own Python, on a laptop "
            f"install lstm-sharp[virtual] and set {VIRTUAL}=pynq-z2"
        ) from None
    if not isinstance(overlay, (str, Path)):
        return overlay.device
    try:
        return pynq.Device.active_device
    except RuntimeError as error:
        raise UsageError(
            f"pynq finds no board ({error}); to run on a virtual one, set {VIRTUAL}=pynq-z2"
        ) from None


def open_overlay(overlay: str | Path | Any) -> Any:
    """Return a ``pynq.Overlay``, loading it on ``device_of`` it if a file is named.

    Raises:
        UsageError: the file is missing or damaged.
    """
    import pynq

    if not isinstance(overlay, (str, Path)):
        return overlay
    try:
        return pynq.Overlay(str(overlay))  # pynq finds those of installed packages by name
    except LstmSharpError:
        raise
    except Exception as error:  # no such file, a damaged .hwh, a device that fails: pynq raises all
        if not Path(overlay).is_file():
            raise UsageError(
                f"{overlay} and its .hwh are not there; name the .bit of an overlay"
            ) from None
        raise UsageError(
            f"{overlay} and its .hwh cannot be loaded ({type(error).__name__}: {error}); build or "
            "copy them again"
        ) from None


def find(overlay: Any) -> tuple[Any, str, dict[str, Any]]:
    """Find what the driver works with in an overlay.

    Returns:
        The engine's IP, its kind, ``hls`` or ``sv``, and each ``pynq.lib.dma.DMA`` by its cell.

    Raises:
        WrongOverlay: one of them is missing.
        OverlayGone: another overlay is loaded by now.
    """
    name = Path(overlay.bitfile_name).name
    if not overlay.is_loaded():
        raise OverlayGone(f"{name} is not loaded any more; call its download()")
    types = {cell: ip["type"] for cell, ip in overlay.ip_dict.items()}
    engines = [(c, kind) for c, t in types.items() for kind, v in ENGINE_VLNVS.items() if t == v]
    if len(engines) != 1:
        cells = ", ".join(f"{cell} ({kind})" for cell, kind in types.items()) or "none"
        raise WrongOverlay(
            f"{name} has {len(engines)} LSTM-Sharp engines, 1 is needed; its cells are {cells}"
        )
    ((engine, kind),) = engines
    above = engine[: engine.rfind("/") + 1]
    dmas = {cell: f"{above}{cell}" for cell in (DMA_CELL, WEIGHTS_DMA_CELL)}
    for path in dmas.values():
        if types.get(path) != DMA_VLNV:
            raise WrongOverlay(f"{name} has no {DMA_VLNV} called {path} (docs/board.md)")

    def part(path: str) -> Any:
        return attrgetter(path.replace("/", "."))(overlay)

    return part(engine), kind, {cell: part(path) for cell, path in dmas.items()}


def overlay_of(cfg: Config, build: Path | None = None) -> Path:
    """Return a config's overlay, overlays/<board>/<config>.bit; a virtual board's is made here.

    Raises:
        UsageError: there is none.
    """
    built = boards.folder(cfg.board) / f"{cfg.name}.bit"
    if built.is_file():
        return built
    virtual = os.environ.get(VIRTUAL)
    if not virtual:
        raise UsageError(
            f"there is no overlay of {cfg.name} at {built}: name one with --overlay FILE.bit, or "
            f"set {VIRTUAL}=pynq-z2 to run on a virtual board"
        )
    from lstm_sharp.virtual.overlay import virtual_overlay

    return virtual_overlay(cfg, (build or Path("build")) / "virtual", board=virtual)


def config_of(identity: int) -> Config:
    """Return the shipped or a board's config, format and engine that have an identity.

    Raises:
        WrongOverlay: none has.
    """
    known = map(config.load, config.names())
    for own, fmt, engine in product(known, (None, *USUAL), ENGINE_VLNVS):
        if fmt and not own.takes(fmt):
            continue
        cfg = own.with_format(fmt).of(engine)
        if cfg.identity == identity:
            return cfg
    raise WrongOverlay(f"engine {identity:08x} is no shipped config; name the config's file")


def name_of(identity: int) -> str:
    """Name the config that has an identity, for messages."""
    try:
        cfg = config_of(identity)
    except WrongOverlay:
        return f"{identity:08x} (no shipped config)"
    return f"{identity:08x} ({cfg.name}, {cfg.format}, {cfg.engine})"


def pynq_version() -> str:
    """Return the version of pynq."""
    import pynq

    return str(pynq.__version__)
