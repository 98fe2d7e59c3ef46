"""What runs have to say beside their figures: each thing once, with the cells whose runs say it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.tables.cells import SummaryCell
from harness.tables.columnar import Table

_NUMBERS = re.compile(r"\d+")


def hints_of(table: Table, cells: Sequence[SummaryCell]) -> Iterator[str]:
    """One line for each hint of runs that count; those that differ only in numbers (NAPI ids) are one, the first's."""
    if "hints" not in table:
        return
    texts = table.texts("hints").rows()
    gathered: dict[str, tuple[str, list[str]]] = {}
    for cell in cells:
        for row in cell.valid:
            text = str(texts[row] or "")
            if text:
                cases = gathered.setdefault(_NUMBERS.sub("#", text), (text, []))[1]
                cases += [cell.case] if cell.case not in cases else []
    for text, cases in gathered.values():
        yield f"{', '.join(cases)}: {text}"
