"""Claims and result sets for tests of verdicts: runs whose truth is known, made up or drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from harness.spec.claims import Claim
from harness.tables import Source
from tests.unit import synthetic

CLAIMS: dict[str, Any] = {
    "faster": {
        "sentence": "Busy polling makes round trips shorter,\nand polls nearly every packet.",
        "expect": [
            {"case": "busypoll50", "direction": "lower", "by": "20%"},
            {"case": "busypoll50", "metric": "server_polled_percent", "above": 90},
        ],
        "advice": "Set it.",
    },
    "cheaper": {
        "sentence": "It costs less CPU.",
        "expect": [{"case": "busypoll50", "metric": "cpu_us_per_request", "direction": "lower"}],
    },
    "harmless": {
        "sentence": "Deferring interrupts does no harm.",
        "expect": [{"case": "defer20", "direction": "not-higher", "at": {"contention.load": "0%"}}],
        "advice": "Look at the tail.",
    },
    "spread": {
        "sentence": "Every case has a deep tail.",
        "expect": [{"case": "defer20", "metric": "rtt_p99_99_us", "above": 1}],
    },
    "iommu": {
        "sentence": "An IOMMU costs latency.",
        "expect": [{"case": "defer20", "direction": "higher"}],
        "needs": ["iommu"],
    },
}


def source(blocks: int = 8, **how: Any) -> Source:
    """The made-up quickstart with claims of every kind."""
    made = synthetic.source(blocks=blocks, **how)
    return replace(made, plan=made.plan | {"document": {"claims": CLAIMS}})


def claim(*expect: Mapping[str, Any], **more: Any) -> dict[str, Claim]:
    """One claim of these conditions, by the name "it"."""
    return {"it": Claim.model_validate({"sentence": "So it is.", "expect": list(expect)} | more)}


def runs(cells: Mapping[str, Sequence[float] | str], factor: str = "") -> Source:
    """A source with a cell per case: values of rtt_p50_us, block by block, or the verdict that all its runs have.

    A name "case@value" stands for a case at that value of `factor`.
    """
    rows = []
    for name, values in cells.items():
        case, _, value = name.partition("@")
        verdict = values if isinstance(values, str) else "valid"
        each = [np.nan] * 6 if isinstance(values, str) else values
        for block, number in enumerate(each, 1):
            row: dict[str, Any] = {"case": case, "block": float(block), "verdict": verdict, "rtt_p50_us": number}
            row |= {"reasons": "no netem here" if verdict == "skipped" else ""}
            rows.append(row | ({factor: value} if factor else {}))
    return Source("made-up", pd.DataFrame(rows))


def around(level: float, spread: float = 0.01, count: int = 8, seed: int = 1) -> list[float]:
    """So many runs around a level, by a share of it."""
    draw = np.random.default_rng([seed, int(level * 1000)])
    return [float(level * (1 + spread * each)) for each in draw.normal(0, 1, count)]
