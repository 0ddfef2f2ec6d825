"""The site that `make docs` builds: the Markdown pages of the repository, linked as they are on its web page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.addnodes import pending_xref

if TYPE_CHECKING:
    from docutils.nodes import Element, document
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

project = "mhealth"
copyright = "the mhealth authors"
root_doc = "docs/contents"  # the repository is the source folder, so that links between its folders lead somewhere
include_patterns = ["docs/**", "experiments/**.md", "README.md", "CHANGELOG.md"]
exclude_patterns = [".venv", "site", "runs", "demo", "build", "**/.*"]

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # named as GitHub names them

html_theme = "furo"
html_title = "mhealth"
html_copy_source = False
html_math_renderer = "mathml"
html_additional_pages = {"index": "first.html"}
templates_path = ["_templates"]


def setup(app: Sphinx) -> None:
    """Let browsers draw formulas by themselves (MathML), so that reading needs no network."""
    inline, block = ((partial(draw_formula, display=display), None) for display in ("inline", "block"))
    app.add_html_math_renderer("mathml", inline_renderers=inline, block_renderers=block)
    app.connect("doctree-read", name_folders)


def draw_formula(writer: HTML5Translator, node: Element, *, display: str) -> None:
    """Write a formula, and nothing of what is in it."""
    writer.body.append(convert(node.astext(), display=display))
    raise SkipNode


def name_folders(app: Sphinx, page: document) -> None:
    """Let links to folders, which a site cannot show, be their text."""
    here = Path(page["source"]).parent
    for link in list(page.findall(pending_xref)):
        if (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)
