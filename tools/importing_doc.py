"""Writes the tables of docs/importing.md anew, from the formats and from the tests; the rest of the page stays."""

from __future__ import annotations

import re
from pathlib import Path

from harness.importers import FORMATS

PAGE = Path(__file__).parent.parent / "docs" / "importing.md"


def render(page: str) -> str:
    """The page with its table of formats written anew."""
    rows = "".join(f"| `{name}` | {importer.title} | {importer.one_run} |\n" for name, importer in FORMATS.items())
    return _replaced(page, "formats", f"| FORMAT | reads | one run is |\n|---|---|---|\n{rows}")


def render_checked(page: str) -> str:
    """The page with its table of the outputs that the tests hold, by format, version and what they compare with."""
    # The tests are not installed with the package, which the other table must do without.
    from tests.unit.real_outputs import OUTPUTS

    kinds: dict[tuple[str, str], dict[str, None]] = {}
    counts: dict[tuple[str, str], int] = {}
    for output in OUTPUTS:
        key = output.format, output.version
        kinds.setdefault(key, {})[output.against] = None
        counts[key] = counts.get(key, 0) + 1
    rows = "".join(
        f"| `{name}` | {version} | {counts[name, version]} | {'; '.join(against)} |\n"
        for (name, version), against in sorted(kinds.items())
    )
    head = "| FORMAT | program's version | outputs | figures checked against |\n|---|---|---|---|\n"
    return _replaced(page, "checked", head + rows)


def _replaced(page: str, name: str, table: str) -> str:
    block = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return block.sub(lambda match: f"{match[1]}{table}{match[2]}", page)


if __name__ == "__main__":
    PAGE.write_text(render_checked(render(PAGE.read_text())))
