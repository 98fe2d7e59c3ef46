"""Run records and CSV files as tidy pandas tables, and tables as CSV files."""

from __future__ import annotations

from harness.tables.cells import SummaryCell, factor_columns, group_cells
from harness.tables.csvin import load_runs
from harness.tables.csvout import to_csv
from harness.tables.frames import Tables, frames
from harness.tables.source import Source, load_source, write_tables
from harness.tables.summary import summary_frame

__all__ = [
    "Source",
    "SummaryCell",
    "Tables",
    "factor_columns",
    "frames",
    "group_cells",
    "load_runs",
    "load_source",
    "summary_frame",
    "to_csv",
    "write_tables",
]
