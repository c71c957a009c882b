"""How Sphinx builds the documentation: `python3 run.py docs`."""

from __future__ import annotations

from importlib import metadata

project = "Persistence"
author = "The Persistence authors"
project_copyright = author
version = release = metadata.version("persistence-substrate")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "adr/template.md"]
html_theme = "furo"
html_title = f"Persistence {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
suppress_warnings = ["misc.highlighting_failure"]  # quoted queries span lines
nitpicky = False  # annotations name types of libraries that have no inventory here
