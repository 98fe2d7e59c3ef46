"""Writes the table of formats in docs/importing.md anew from the formats themselves; the rest of the page stays."""

from __future__ import annotations

import re
from pathlib import Path

from harness.importers import FORMATS

PAGE = Path(__file__).parent.parent / "docs" / "importing.md"
_BLOCK = re.compile(r"(<!-- generated: formats -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page: str) -> str:
    """The page with its table of formats written anew."""
    rows = "".join(f"| `{name}` | {importer.title} | {importer.one_run} |\n" for name, importer in FORMATS.items())
    table = f"| FORMAT | reads | one run is |\n|---|---|---|\n{rows}"
    return _BLOCK.sub(lambda match: f"{match[1]}{table}{match[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
