"""Prints docs/columns.md from the list of columns in the code; redirect it there."""

from __future__ import annotations

from harness import columns
from harness.columns import Column

HEAD = """\
# Columns of the result tables

Made by `python -m tools.columns_doc > docs/columns.md` from `harness/columns/`; a test keeps the two equal.

A result set holds five CSV files: one row per run in `runs.csv`, per run and node in `nodes.csv`, per run
and written setting in `knobs.csv`, per run and CPU in `cpus.csv`, per cell in `summary.csv`; where links
change, a sixth: per run and phase in `phases.csv`. UTF-8, commas, blank for no value. Round-trip times are
whole round trips, request sent to reply received, never halved.

**Factors.** The keys of the experiment's sweep are columns of their own, under the key's name
(`contention.load`), with the value as the file writes it. They stand after `case` in every table.

**Quantiles** are taken per run: the smallest recorded time that at least that share of the answered requests
did not exceed. A quantile is blank when fewer than 10 samples are expected beyond it.

**Text that a spreadsheet would take for a formula** (beginning with `=`, `+`, `-` or `@`, and not a number)
has an apostrophe before it in these files; reading them back takes it off.

**Your own CSV files** can be compared as well. They need a column `case` and at least one measured column;
every other column is optional. A column that is not listed here counts as measured when its name ends in a
unit, and as a factor otherwise. Without `verdict`, every run counts as valid. The endings are
{suffixes}.
"""

_IMPORTED = (*columns.IMPORTED_FACTS, *columns.IMPORTED_METRICS)


def _table(title: str, listed: tuple[Column, ...], *, better: bool = False) -> list[str]:
    lines = ["", f"## {title}", ""]
    lines.append("| column | unit | type | better | meaning |" if better else "| column | unit | type | meaning |")
    lines.append("|---|---|---|---|---|" if better else "|---|---|---|---|")
    for column in listed:
        cells = [f"`{column.name}`", column.unit, column.dtype]
        cells += [column.better] if better else []
        cells.append(column.meaning + (" *Main.*" if column.main else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _summary() -> list[str]:
    names = ", ".join(f"`{column.name}`" for column in columns.MAIN_METRICS)
    lines = [*_table("summary.csv", columns.CELL_COUNTS), "", f"Then for each main metric M, which are {names}:", ""]
    lines += ["| column | meaning |", "|---|---|"]
    lines += [f"| `M{suffix}` | {meaning} M. |" for suffix, meaning in columns.SUMMARY_PARTS]
    return lines


def document() -> str:
    """The whole of docs/columns.md."""
    suffixes = ", ".join(f"`{suffix}`" for suffix in columns.UNIT_SUFFIXES)
    lines = [HEAD.format(suffixes=suffixes).rstrip("\n")]
    lines += _table("runs.csv", columns.RUN_COLUMNS, better=True)
    lines += ["", "*Main* metrics are summarised in summary.csv and shown in tables."]
    of_one = ", ".join(f"`{name}`" for name in columns.names_of_workload("login"))
    lines += ["", f"Of a workload `login` that is measured beside the first there are, after all others: {of_one}."]
    lines += _table("runs.csv, where an imported or measured program tells it", _IMPORTED, better=True)
    lines += _table("nodes.csv", columns.NODES)
    lines += _table("knobs.csv", columns.KNOBS)
    lines += _table("cpus.csv", columns.CPUS)
    lines += _table("phases.csv", columns.PHASES)
    lines += _table("queues.csv", columns.QUEUES)
    lines += _summary()
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
