"""The workloads an experiment file can ask for, by the `kind` the file uses: one module each, found by itself."""

from __future__ import annotations

from typing import get_args

from harness.formats.registry import by_name, classes_in
from harness.workloads.base import ProgramOutput, Reading, Role, Scene, Workload
from harness.workloads.contention import Contention


def _kind(workload: type[Workload]) -> str:
    """What an experiment file calls it; "" for what several kinds have in common."""
    return next(iter(get_args(workload.model_fields["kind"].annotation)), "")


_ALL = by_name(classes_in(__name__, Workload), _kind)
WORKLOADS: dict[str, type[Workload]] = dict(sorted(_ALL.items(), key=lambda item: item[1].rank))

__all__ = ["WORKLOADS", "Contention", "ProgramOutput", "Reading", "Role", "Scene", "Workload"]
