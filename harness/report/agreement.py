"""Two sets' conclusions side by side, as text: one table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.agreement import Finding
from harness.report import words

_SHORT = {"rtt_p50_us": "p50", "rtt_p99_us": "p99", "cpu_us_per_request": "CPU per request"}


def agreement_table(found: Sequence[Finding], labels: tuple[str, str]) -> str:
    """One line for each conclusion, and a last one that counts them."""
    head = ("cell", "conclusion", labels[0], labels[1], "agree")
    rows = [
        (
            words.cell(each.case, each.factors),
            _SHORT.get(each.what, each.what),
            each.first,
            each.second,
            {True: "yes", False: "NO", None: "-"}[each.agree],
        )
        for each in found
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    known = [each for each in found if each.agree is not None]
    agreed = sum(1 for each in known if each.agree)
    unknown = f"; {len(found) - len(known)} cannot be told" if len(known) < len(found) else ""
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", f"{agreed} of {len(known)} conclusions agree{unknown}."])
