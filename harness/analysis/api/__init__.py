"""Result sets in Python: `load` gives tidy data frames, and reads no more of the samples than is asked for."""

from __future__ import annotations

from harness.analysis.api.results import Results, load
from harness.analysis.api.samples import RunSamples

__all__ = ["Results", "RunSamples", "load"]
