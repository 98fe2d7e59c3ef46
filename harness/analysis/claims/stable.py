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
    return tuple(_agreed(each, reruns) for each in newest)


def _agreed(finding: ClaimVerdict, reruns: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> ClaimVerdict:
    said = [(label, each.outcome) for label, found in reruns for each in found if each.name == finding.name]
    if finding.outcome == "cannot be tested here" or len({outcome for _, outcome in said}) < 2:
        return finding
    told = ", ".join(f"{outcome} ({label})" for label, outcome in said)
    return replace(
        finding, outcome="not shown", reason=f"the verdict differs between reruns: {told}", deciding=None
    )
