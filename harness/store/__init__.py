"""Result sets on disk: a finished run is written aside, synced, and renamed into place."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.store.record import KnobRow, LinkCheck, QdiscRow, RunRecord
    from harness.store.resultset import PlanLike, ResultSet
    from harness.store.samples import SAMPLE_DTYPE

__all__ = ["SAMPLE_DTYPE", "KnobRow", "LinkCheck", "PlanLike", "QdiscRow", "ResultSet", "RunRecord"]

_PLACES = {"SAMPLE_DTYPE": "samples", "PlanLike": "resultset", "ResultSet": "resultset"}


def __getattr__(name: str) -> object:
    """Each part as it is asked for: who reads a CSV file needs no sets, whose records cost a tenth of that to load."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'record')}"), name)
