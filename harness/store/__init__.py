"""Results on disk: one directory per set, each finished run written aside, synced, and renamed into place."""

from __future__ import annotations

from harness.store.resultset import PlanLike, ResultSet
from harness.store.samples import SAMPLE_DTYPE

__all__ = ["SAMPLE_DTYPE", "PlanLike", "ResultSet"]
