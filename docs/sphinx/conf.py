"""Sphinx's configuration of the site. The pages are plain Markdown, as a code host shows them; `make site` builds them.

The root of the repository is the source, so links between pages are the same in both places. What plain Markdown
cannot say is added while a page is read: the menu to the index, the signatures to the page on Python.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parents[1] / "src"))

import order
import python_page

import spectrain

project = "spectrain"
project_copyright = "the authors of spectrain"
version = release = spectrain.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
root_doc = order.INDEX
include_patterns = [f"{order.INDEX}.md", *(f"{page}.md" for named in order.pages().values() for page in named)]
exclude_patterns = ["tests", "build", "runs", "mlruns", "**/.*", ".*", "dist", "shared"]

myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]
suppress_warnings = ["myst.strikethrough"]

autodoc_typehints = "none"  # the signature has them
autodoc_member_order = "bysource"
toc_object_entries = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Formats", "params_style")]
python_display_short_literal_types = True
python_use_unqualified_type_names = True
add_module_names = False
default_role = "code"  # `name` in a docstring is code

nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries, whose pages are not at hand without a network

html_theme = "furo"
html_title = "spectrain"
html_static_path = ["static"]
html_extra_path = ["root"]  # the way from the top of the folder to the index
html_css_files = ["spectrain.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "github-dark"


def add(app: Any, name: str, content: list[str]) -> None:
    """Add to a page what plain Markdown cannot say."""
    if name == order.INDEX:
        content[0] += order.toctrees()
    elif name == "docs/python":
        content[0] += python_page.signatures()


def setup(app: Any) -> None:
    """Register `add`."""
    app.connect("source-read", add)
    logging.getLogger("spectrain").setLevel(logging.ERROR)


highlight_language = "none"  # what a command prints is no Python
