"""A/A runs: the same case under two names, what that says about this host's noise, and what is known of it."""

from __future__ import annotations

from harness.calibration.known import Entry, entry_of, matching, read_entries, sentences, to_bytes, with_entry
from harness.calibration.noise import Noise, noise_of
from harness.calibration.twins import NAMES, twins

__all__ = [
    "NAMES",
    "Entry",
    "Noise",
    "entry_of",
    "matching",
    "noise_of",
    "read_entries",
    "sentences",
    "to_bytes",
    "twins",
    "with_entry",
]
