"""Claims held against runs: a verdict for each, from the intervals and tests that a comparison has. Pure."""

from __future__ import annotations

from harness.analysis.claims.model import (
    OUTCOMES,
    ClaimVerdict,
    ConditionResult,
    Observation,
    Outcome,
    ShownMetric,
    State,
)
from harness.analysis.claims.source import agreed, claims_of, findings
from harness.analysis.claims.verdict import judge

__all__ = [
    "OUTCOMES",
    "ClaimVerdict",
    "ConditionResult",
    "Observation",
    "Outcome",
    "ShownMetric",
    "State",
    "agreed",
    "claims_of",
    "findings",
    "judge",
]
