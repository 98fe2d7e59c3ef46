"""Which sockets can be busy-polled behind which devices: every pair of kinds tried on packets, here and now."""

from __future__ import annotations

from harness.kernel.matrix.cells import COLUMNS, Cell, run

__all__ = ["COLUMNS", "Cell", "run"]
