"""Sets of CPUs as the kernel writes them; users' lists are read by harness.units, which must agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units
from harness.kernel import cpulists

CPUS = st.sets(st.integers(0, units.CPU_MAX), max_size=40)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8\n", [0, 1, 2, 3, 8]), ("", []), ("5", [5]), ("(null)", []), ("3,1-2,2", [1, 2, 3]), ("7-5", [])],
)
def test_the_kernels_lists_are_read(text: str, cpus: list[int]) -> None:
    assert cpulists.parse_cpu_list(text) == cpus


@pytest.mark.parametrize(("cpus", "mask"), [([0], "1"), ([1, 3], "a"), ([0, 32], "1,00000001"), ([], "0")])
def test_masks_are_grouped_as_the_kernel_does(cpus: list[int], mask: str) -> None:
    assert cpulists.format_cpu_mask(cpus) == mask
    assert cpulists.parse_cpu_mask(mask) == cpus


@given(CPUS)
def test_both_forms_round_trip(cpus: set[int]) -> None:
    assert cpulists.parse_cpu_list(cpulists.format_cpu_list(cpus)) == sorted(cpus)
    assert cpulists.parse_cpu_mask(cpulists.format_cpu_mask(cpus)) == sorted(cpus)


@given(CPUS)
def test_what_is_sent_to_hosts_agrees_with_units(cpus: set[int]) -> None:
    """units.py cannot be sent: it needs pydantic."""
    text = units.format_cpus(tuple(cpus))
    assert cpulists.format_cpu_list(cpus) == text
    if cpus:
        assert tuple(cpulists.parse_cpu_list(text)) == units.parse_cpus(text)
