"""How Sphinx makes a site of these pages; `python -m tools.site` starts it and says of which version they are."""

project = "pollbench"
extensions = ["myst_parser"]
root_doc = "docs/index"
html_theme = "furo"
myst_heading_anchors = 5
# A page is read on its own, too: its first heading is its title, wherever it is in the site.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
highlight_language = "none"
