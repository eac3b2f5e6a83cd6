"""What Sphinx is told of the site: ``make docs``. What is ours about it is in ``workshop.site``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "host"))

from lstm_sharp import __version__  # noqa: E402

project = "LSTM-Sharp"
author = copyright = "The LSTM-Sharp maintainers"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "workshop.site",
]

# The source is the repository, so that links between its pages are the same here and on GitHub.
include_patterns = ["*.md", "docs/**", "*/README.md", "examples/*/README.md"]
exclude_patterns = [".*", "build", "dist"]
root_doc = "README"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = "LSTM-Sharp"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_domain_indices = False
html_show_sphinx = False
html_show_search_summary = False  # which a page that no server gave could not fetch

autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch"]
autodoc_typehints = "none"  # shapes and types that docstrings do not tell are none of a caller's
napoleon_use_ivar = True
napoleon_use_rtype = False
