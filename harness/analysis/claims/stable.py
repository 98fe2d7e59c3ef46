"""Verdicts of several sets of one experiment: one that flips from rerun to rerun is not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis.claims.model import ClaimVerdict


def agreed(reruns: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> tuple[ClaimVerdict, ...]:
    """The findings of the newest set (the last), each as `not shown` where an earlier one came to another verdict.

    reruns: what to call each set, and its findings, oldest first.
    """
    if not reruns:
        return ()
    _, newest = reruns[-1]
    return tuple(_agreed(verdict, reruns) for verdict in newest)


def _agreed(verdict: ClaimVerdict, reruns: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> ClaimVerdict:
    outcomes = [(label, old.outcome) for label, olds in reruns for old in olds if old.name == verdict.name]
    if verdict.outcome == "cannot be tested here" or len({outcome for _, outcome in outcomes}) < 2:
        return verdict
    reason = f"the verdict differs between reruns: {', '.join(f'{outcome} ({label})' for label, outcome in outcomes)}"
    return replace(verdict, outcome="not shown", reason=reason, deciding=None)
