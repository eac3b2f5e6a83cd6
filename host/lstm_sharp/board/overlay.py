"""What the driver finds in an overlay: engine, DMA channels, clock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_sharp import paths
from lstm_sharp.board.channel import Channel, reset_dma
from lstm_sharp.board.errors import OverlayGone, WrongOverlay
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import VIRTUAL
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import DMA_CELL, DMA_VLNV, ENGINE_VLNVS, WEIGHTS_DMA_CELL
from lstm_sharp.errors import LstmSharpError, ToolError, UsageError
from lstm_sharp.numerics.formats import SUPPORTED


@dataclass(frozen=True)
class Parts:
    """An overlay's parts that the driver works with."""

    overlay: Any  # pynq.Overlay
    engine: Any  # ip.EngineIP
    engine_kind: str  # hls or sv
    dmas: dict[str, Any]  # pynq.lib.dma.DMA by cell
    weights: Channel
    x: Channel
    h: Channel

    @property
    def file(self) -> str:
        """Name of the overlay's file."""
        return Path(self.overlay.bitfile_name).name

    @property
    def device(self) -> Any:
        """The ``pynq.Device``."""
        return self.overlay.device

    def describe(self) -> str:
        """Decode the registers of engine and DMAs."""
        channels = ", ".join(f"{c.name} {c.describe()}" for c in (self.weights, self.x, self.h))
        return f"{self.engine.describe()}; {channels}"

    def reset(self) -> None:
        """Reset the DMAs; load the overlay again if it is not there, or its engine not idle.

        Raises:
            BoardError: a DMA stays in reset.
        """
        if not self.overlay.is_loaded():
            self.overlay.download()
        self._reset_dmas()
        if not self.engine.idle:  # nothing but a new configuration stops a run
            self.overlay.download()
            self._reset_dmas()
        self.engine.forget()

    def _reset_dmas(self) -> None:
        for name, dma in self.dmas.items():
            reset_dma(dma, name)
        for channel in (self.weights, self.x, self.h):
            channel.restart()


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


def find(overlay: Any) -> Parts:
    """Find engine and DMAs in an overlay.

    Raises:
        WrongOverlay: one of them is missing.
        OverlayGone: another overlay is loaded by now.
    """
    name = Path(overlay.bitfile_name).name
    if not overlay.is_loaded():
        raise OverlayGone(f"{name} is not loaded any more; call its download()")
    ips = overlay.ip_dict
    engines = {n: k for n, ip in ips.items() for k, v in ENGINE_VLNVS.items() if ip["type"] == v}
    if len(engines) != 1:
        cells = ", ".join(f"{cell} ({ip['type']})" for cell, ip in ips.items())
        raise WrongOverlay(
            f"{name} has {len(engines)} LSTM-Sharp engines, 1 is needed; its cells are "
            f"{cells or 'none'}"
        )
    (engine, kind), *_ = engines.items()
    where = engine.rpartition("/")[0]
    dmas = {}
    for cell in (DMA_CELL, WEIGHTS_DMA_CELL):
        path = f"{where}/{cell}" if where else cell
        if ips.get(path, {}).get("type") != DMA_VLNV:
            raise WrongOverlay(f"{name} has no {DMA_VLNV} called {path} (docs/board.md)")
        dmas[cell] = _part(overlay, path)
    return Parts(
        overlay,
        _part(overlay, engine),
        kind,
        dmas,
        Channel(dmas[WEIGHTS_DMA_CELL], WEIGHTS_DMA_CELL, send=True),
        Channel(dmas[DMA_CELL], DMA_CELL, send=True),
        Channel(dmas[DMA_CELL], DMA_CELL, send=False),
    )


def overlay_of(cfg: Config, build: Path | None = None) -> Path:
    """Return a config's overlay, overlays/<board>/<config>.bit; a virtual board's is made here.

    Raises:
        UsageError: there is none.
    """
    built = paths.overlays() / cfg.board / f"{cfg.name}.bit"
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
    """Return the shipped config, format and engine that have an identity.

    Raises:
        WrongOverlay: none has.
    """
    for name in config.shipped():
        for fmt in SUPPORTED:
            for engine in ENGINE_VLNVS:
                cfg = config.load(name).with_format(fmt).of(engine)
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


def _part(overlay: Any, path: str) -> Any:
    for name in path.split("/"):
        overlay = getattr(overlay, name)
    return overlay
