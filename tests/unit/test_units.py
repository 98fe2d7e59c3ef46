"""Quantities as the field writes them: exact, in both directions, and never anything but ValueError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import units

PARSERS: tuple[Callable[[object], Any], ...] = (
    units.parse_duration,
    units.parse_rate,
    units.parse_size,
    units.parse_percent,
    units.parse_share,
    units.parse_cpus,
    units.parse_on_off,
)
LIKELY = st.from_regex(r"-?[0-9]{0,30}(\.[0-9]{0,5})? ?[a-zA-Zµ%]{0,5}", fullmatch=True)
ANYTHING = st.one_of(
    st.text(),
    LIKELY,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
)


@given(ANYTHING)
def test_parsers_give_a_value_or_a_value_error(value: object) -> None:
    for parse in PARSERS:
        try:
            parse(value)
        except ValueError as error:
            assert "\n" not in str(error) or "\n" in str(value)


@given(st.integers(0, units.INT64_MAX))
def test_round_trips_of_whole_numbers(number: int) -> None:
    assert units.parse_duration(units.format_duration(number)) == number
    assert units.parse_size(units.format_size(number)) == number
    if number:
        assert units.parse_rate(units.format_rate(number)) == number


@given(st.integers(0, 10**9))
def test_percent_round_trip(millionths: int) -> None:
    percent = millionths / 10**7
    assert units.parse_percent(units.format_percent(percent)) == percent


@given(st.sets(st.integers(0, units.CPU_MAX), min_size=1))
def test_cpu_list_round_trip(cpus: set[int]) -> None:
    assert units.parse_cpus(units.format_cpus(tuple(cpus))) == tuple(sorted(cpus))


@pytest.mark.parametrize("switch", [True, False])
def test_on_off_round_trip(switch: bool) -> None:
    assert units.parse_on_off(units.format_on_off(switch)) is switch
    assert units.parse_on_off(switch) is switch


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_duration, "20us", 20_000),
        (units.parse_duration, "20µs", 20_000),
        (units.parse_duration, "1.5s", 1_500_000_000),
        (units.parse_duration, "0.1ms", 100_000),
        (units.parse_duration, "2min", 120_000_000_000),
        (units.parse_duration, 0, 0),
        (units.parse_rate, "1gbit", 10**9),
        (units.parse_rate, "2.5Gbit", 2_500_000_000),
        (units.parse_rate, "8bit", 8),
        (units.parse_size, "64B", 64),
        (units.parse_size, "1KiB", 1024),
        (units.parse_size, "16kB", 16_000),
        (units.parse_size, 1500, 1500),
        (units.parse_size, "1500", 1500),
        (units.parse_percent, "12.5%", 12.5),
        (units.parse_share, "5%", 0.05),
        (units.parse_cpus, "8,0-3", (0, 1, 2, 3, 8)),
        (units.parse_cpus, 2, (2,)),
    ],
)
def test_written_forms(parse: Callable[[object], Any], text: object, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "why"),
    [
        (units.parse_duration, 20, "has no unit"),
        (units.parse_duration, "20", "has no unit"),
        (units.parse_duration, "20sec", "not understood"),
        (units.parse_duration, "-1ms", "negative"),
        (units.parse_duration, "0.1ns", "finer than 1 ns"),
        (units.parse_duration, "9223372037s", "64 bits"),
        (units.parse_duration, "١ms", "not understood"),
        (units.parse_rate, "100mbps", "not understood"),
        (units.parse_rate, "0bit", "lets nothing through"),
        (units.parse_size, "1KB", "not understood"),
        (units.parse_size, 10**30, "64 bits"),
        (units.parse_percent, "101%", "over 100%"),
        (units.parse_percent, 0.5, "no % sign"),
        (units.parse_cpus, "", "not understood"),
        (units.parse_cpus, "0-", "not understood"),
        (units.parse_cpus, "3-1", "backwards"),
        (units.parse_cpus, "0-9999999", "over 8191"),
        (units.parse_cpus, True, "not understood"),
        (units.parse_on_off, "yes", "expected"),
        (units.parse_on_off, 1, "expected"),
    ],
)
def test_refused_forms(parse: Callable[[object], Any], text: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_shortest_forms() -> None:
    assert units.format_duration(20_000) == "20us"
    assert units.format_duration(1_500_000_000) == "1.5s"
    assert units.format_duration(1_234_567) == "1234.567us"
    assert units.format_rate(10**9) == "1gbit"
    assert units.format_size(65536) == "64KiB"
    assert units.format_cpus((0, 1, 2, 8)) == "0-2,8"
