"""Run records and CSV files as tidy pandas tables, and tables as CSV files."""

from __future__ import annotations

from harness.tables.cells import group_cells, summary_frame
from harness.tables.csvin import load_runs
from harness.tables.csvout import to_csv
from harness.tables.frames import frames
from harness.tables.source import Source, load_source, write_tables

__all__ = ["Source", "frames", "group_cells", "load_runs", "load_source", "summary_frame", "to_csv", "write_tables"]
