"""Anyone's CSV file read as a runs table: its form, what each of its columns is, and an account of how it was read."""

from __future__ import annotations
