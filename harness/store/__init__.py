"""Result sets on disk: a finished run is written aside, synced, and renamed into place."""

from __future__ import annotations

from harness.store.record import KnobRow, LinkCheck, QdiscRow, RunRecord
from harness.store.resultset import PlanLike, ResultSet
from harness.store.samples import SAMPLE_DTYPE

__all__ = ["SAMPLE_DTYPE", "KnobRow", "LinkCheck", "PlanLike", "QdiscRow", "ResultSet", "RunRecord"]
