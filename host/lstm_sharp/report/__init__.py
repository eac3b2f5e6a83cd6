"""``lstm-sharp report``: one page of HTML that says what a model is on an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_sharp import __version__
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import lacking, printable
from lstm_sharp.model.model import Model
from lstm_sharp.report.contents import Progress, gather
from lstm_sharp.report.parts import Figure, Outline, Table

_LONGEST = 10_000
"""Characters of a text of the page."""


class Page(NamedTuple):
    """A page, and the sentences that it begins with."""

    text: str
    verdict: Sequence[str]


def page(
    model: Model,
    cfg: Config,
    x: np.ndarray | None = None,
    calibration: np.ndarray | None = None,
    progress: Progress = lambda done, total: None,
) -> Page:
    """Make the page; arguments and errors are those of ``contents.gather``.

    The same arguments give the same text.

    Raises:
        ToolError: Jinja2 is not installed.
    """
    environment = _environment()
    contents = gather(model, cfg, x, calibration, progress)
    text = environment.get_template("page.html.j2").render(page=contents, version=__version__)
    return Page(text.encode("utf-8", "backslashreplace").decode(), contents.verdict)


def _environment() -> Any:
    try:
        import jinja2  # an extra: a board has no use for it
    except ImportError:
        raise lacking("jinja2", "a report") from None
    from markupsafe import Markup

    def shown(value: object) -> object:
        """Make texts out of files fit for a page: no control characters, no lone surrogates."""
        plain = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value, _LONGEST) if plain else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["figure"] = lambda part: isinstance(part, Figure)
    environment.tests["outline"] = lambda part: isinstance(part, Outline)
    return environment
