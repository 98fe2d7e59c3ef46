"""Sizes of messages as an experiment file writes them: one size, or a distribution, in the generator's own form."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from harness.units import parse_size

_FORM = (
    'a size such as "64B", or "uniform:64B-1400B", "exponential:MEAN:MAX" (as "exponential:200B:1400B"), '
    '"etc-key", "etc-value" (sizes of the published Facebook ETC workload)'
)
_NAMED = ("etc-key", "etc-value")


def parse_sizes(value: object) -> str:
    """The generator's form of a size or a distribution of sizes, in bytes. ValueError says what is allowed."""
    if not isinstance(value, str) or (":" not in value and value not in _NAMED):
        return str(parse_size(value))
    if value in _NAMED:
        return value
    if match := re.fullmatch(r"uniform: ?([^-:]+)-([^-:]+)", value):
        low, high = parse_size(match[1].strip()), parse_size(match[2].strip())
        if low > high:
            raise ValueError(f'"{value[:40]}" runs backwards; expected {_FORM}')
        return f"uniform:{low}-{high}"
    if match := re.fullmatch(r"exponential: ?([^-:]+):([^-:]+)", value):
        mean, most = parse_size(match[1].strip()), parse_size(match[2].strip())
        if mean > most:
            raise ValueError(f'"{value[:40]}" has a mean above its maximum; expected {_FORM}')
        return f"exp:{mean}:{most}"
    raise ValueError(f'"{value[:40]}" is not understood; expected {_FORM}')


def fixed_bytes(sizes: str) -> int | None:
    """The one size, in bytes; None for a distribution."""
    return int(sizes) if sizes.isdigit() else None


def check_within(key: str, sizes: str, low: int, high: int, below: str, above: str) -> None:
    """ValueError, naming the key, unless all sizes lie from `low` to `high` bytes. below, above: what is wrong else.

    A distribution that names no smallest (or largest) size of its own is cut off there, and fits.
    """
    numbers = [int(number) for number in re.findall(r"\d+", sizes)]
    if not numbers:
        return
    largest = max(numbers)
    smallest = largest if sizes.startswith("exp:") else min(numbers)
    if largest > high or smallest < low:
        wrong, why = (largest, above) if largest > high else (smallest, below)
        raise ValueError(f"{key} of {wrong} bytes {why}; expected {low}B to {high}B")


_SCHEMA: dict[str, Any] = {
    "x-quantity": "size or distribution",
    "anyOf": [
        {
            "type": "string",
            "pattern": r"^( *[0-9]+(\.[0-9]+)? ?([kMG]?B|[KMG]iB)? *|uniform:.+-.+|exponential:.+:.+|etc-(key|value))$",
            "examples": ["64B", "uniform:64B-1400B", "exponential:200B:1400B", "etc-value"],
        },
        {"type": "integer", "minimum": 0},
    ],
}
Sizes = Annotated[str, BeforeValidator(parse_sizes), WithJsonSchema(_SCHEMA)]
