"""The two forms in which the kernel reads and writes sets of CPUs: lists ("0-3,8") and hexadecimal masks ("10f").

Sent to other hosts together with host_settings.py: needs Python 3.8 and the standard library alone. What users write
is read by harness.units.parse_cpus, which refuses what it does not understand; the kernel's own text is taken as it is.
"""

from __future__ import annotations

from typing import Iterable


def parse_cpu_list(text: str) -> list[int]:
    """Sorted CPU numbers of a list, "" for none; pieces that are no numbers, such as "(null)", are left out."""
    cpus: set[int] = set()
    for piece in text.replace("\n", ",").split(","):
        first, _, last = piece.strip().partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            cpus.update(range(int(first), int(last or first) + 1))
    return sorted(cpus)


def format_cpu_list(cpus: Iterable[int]) -> str:
    """CPU numbers as the shortest list; "" for none."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def parse_cpu_mask(text: str) -> list[int]:
    """Sorted CPU numbers of a mask; commas between its groups of eight digits do not count."""
    bits = int(text.replace(",", "") or "0", 16)
    return [cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1]


def format_cpu_mask(cpus: Iterable[int]) -> str:
    """CPU numbers as a mask in groups of eight digits; "0" for none."""
    digits = f"{sum(1 << cpu for cpu in set(cpus)):x}"
    groups = [digits[max(0, end - 8) : end] for end in range(len(digits), 0, -8)]
    return ",".join(reversed(groups))
