"""Where templates, hardware sources and configs lie: inside the wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent


def _find(name: str, inside: str = "") -> Path:
    held = _PACKAGE / "data" / (inside or name)
    return held if held.is_dir() else _CHECKOUT / name


def configs() -> Path:
    """Folder of the shipped engine configs."""
    return _find("configs")


def hardware() -> Path:
    """Folder of the hand-written hardware sources."""
    return _find("hls")


def templates() -> Path:
    """Folder of the Jinja2 templates."""
    return _find("templates")


def overlays() -> Path:
    """Folder of the boards."""
    return _find("overlays")


def counts() -> Path:
    """File of what Yosys counts of shipped configs."""
    return _find("docs/results", "results") / "resources.json"


def resource_model() -> Path:
    """File of what the model of resources is fitted to, and of its coefficients."""
    return _find("docs/results", "results") / "resource_model.json"


def examples() -> Path:
    """Folder of the examples."""
    return _find("examples")
