"""Two sets' conclusions side by side: one table, of a document for a terminal, a markdown page or a report."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.agreement import Conclusion
from harness.report import words
from harness.report.headline import NAMES
from harness.report.layout import Block, Col, Gap, Para, Style, Table, TableRow, Text, grouped

TITLE = "Do the two places lead to the same conclusions?"
_SAID: dict[bool | None, tuple[str, Style]] = {
    True: ("yes", "good"),
    False: ("NO", "bad"),
    None: ("cannot tell", "dim"),
}


def document(conclusions: Sequence[Conclusion], title: str = TITLE) -> list[Block]:
    """The table of the sets A and B, then how many agree and what is held against what. title: of the table."""
    if not conclusions:
        return [Para(f"{TITLE} They have no cell in common that has an effect or an order.", "warn")]
    cols = tuple(Col(title, right=False) for title in ("case", "conclusion", "A", "B", "agree"))
    rows = grouped((conclusion.factors, _row(conclusion)) for conclusion in conclusions)
    base = next((conclusion.against for conclusion in conclusions if conclusion.against), "the baseline case")
    known = [conclusion for conclusion in conclusions if conclusion.agree is not None]
    agreed = sum(1 for conclusion in known if conclusion.agree)
    unknown = len(conclusions) - len(known)
    left = f"; of {unknown} more one set or both show nothing" if unknown else ""
    return [
        Table(cols, rows, title),
        Gap(),
        Para(f"{agreed} of {len(known)} conclusions agree{left}.", "bold"),
        Para(
            f"A conclusion is the sign of a case's effect against {base} in its own set, or the order of "
            "the cases by median p50. Sizes may differ, and mean nothing where time is model time.",
            "dim",
            bullet=True,
        ),
    ]


def _row(conclusion: Conclusion) -> TableRow:
    text, style = _SAID[conclusion.agree]
    fields = (conclusion.case, NAMES.get(conclusion.subject, conclusion.subject), conclusion.first, conclusion.second)
    return (*(Text(field or words.BLANK) for field in fields), Text(text, style))
