"""How netem's delay varies: the distributions that tc ships, and files in their form. Pure."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

from harness.spec.trace_file import TraceError, unpacked

UNIT = 8192
"""What one jitter is in a table's values."""
MOST_VALUES = 16_384
_VALUES, _LARGEST = 4096, 2**15 - 1
NAMES = ("normal", "pareto", "paretonormal")


def delay_table(name: str, data: str | None) -> tuple[int, ...]:
    """The values of which netem draws one for each packet, in 1/8192 of the jitter. data: of a file, packed."""
    return parse_table(unpacked(data)) if data is not None else _known(name)


def table_data(data: str) -> str:
    """The packed text of a table, if it is one. Raises ValueError."""
    parse_table(unpacked(data))
    return data


@cache
def parse_table(text: str) -> tuple[int, ...]:
    """The numbers of a file in tc's form: separated by blanks, lines with # are left out. Raises TraceError."""
    values: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in () if line.lstrip().startswith("#") else line.split():
            if not word.removeprefix("-").isdecimal() or not -_LARGEST - 1 <= int(word) <= _LARGEST:
                got = f'"{word[:20]}" is no value of a distribution; expected whole numbers from -32768 to 32767'
                raise TraceError(number, line.index(word) + 1, got)
            values.append(int(word))
    if not 1 <= len(values) <= MOST_VALUES:
        raise TraceError(1, 1, f"it has {len(values)} values; netem takes 1 to {MOST_VALUES}")
    return tuple(values)


@cache
def _known(name: str) -> tuple[int, ...]:
    """The distribution of this name, as iproute2 makes it: pareto is of order 3, in 3/4 of its variance."""
    middles = [(number + 0.5) / _VALUES for number in range(_VALUES)]
    normal = [UNIT * NormalDist().inv_cdf(middle) for middle in middles]
    pareto = [UNIT * 4 / 3 * (((number + 1) / _VALUES) ** (-1 / 3) - 1.5) for number in reversed(range(_VALUES))]
    mixed = [(few + 3 * min(many, _LARGEST)) / 4 for few, many in zip(normal, pareto, strict=True)]
    made = {"normal": normal, "pareto": pareto, "paretonormal": mixed}[name]
    return tuple(round(min(max(value, -_LARGEST - 1), _LARGEST)) for value in made)
