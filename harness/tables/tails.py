"""Tail quantiles that only some runs of a cell have: no median may be taken of those few."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from harness.tables.cells import SummaryCell

_TAIL = re.compile(r"(rtt|service|oneway)_(p\d+(_\d+)?|jitter)_us")


def is_tail(name: str) -> bool:
    """Is this metric a quantile that a run with few requests does not have?"""
    return _TAIL.fullmatch(name) is not None


def whole_tails(runs: pd.DataFrame, cells: Iterable[SummaryCell]) -> pd.DataFrame:
    """The runs table with a tail quantile blank in all counted runs of a cell, where it is blank in one of them.

    A run has no p99.9 when it had too few requests, which are the slow runs: the median over the others would be of the
    fast ones, and could even lie below the p99.
    """
    counted = [cell.valid for cell in cells]
    for name in filter(is_tail, map(str, runs.columns)):
        values = runs[name].to_numpy(dtype=np.float64, copy=True)
        if np.isnan(values).any():
            for rows in counted:
                values[rows] = np.nan if np.isnan(values[rows]).any() else values[rows]
            runs = runs.assign(**{name: values})
    return runs
