"""--fail-if: conditions as typed, and when one is met, not met, or cannot be judged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.compare import Options, compare_sources
from harness.analysis.compare.gate import judge, parse_condition
from harness.errors import InputError
from tests.unit.synthetic import source


@pytest.mark.parametrize(
    ("text", "metric", "above", "kind", "bound"),
    [
        ("rtt_p99_us > +5%", "rtt_p99_us", True, "ratio", 0.05),
        ("set_busy_percent > +5%", "set_busy_percent", True, "ratio", 0.05),
        ("set_busy_percent > +5pp", "set_busy_percent", True, "difference", 5.0),
        ("rate_rps<-10%", "rate_rps", False, "ratio", -0.1),
        ("rtt_p99_us > +3us", "rtt_p99_us", True, "difference", 3),
        ("rtt_p99_us > +3", "rtt_p99_us", True, "difference", 3),
        ("rtt_p99_us > 0.1ms", "rtt_p99_us", True, "value", 100),
        ("rtt_p99_us > 100", "rtt_p99_us", True, "value", 100),
        ("client_polled_percent < 50%", "client_polled_percent", False, "value", 50),
        ("client_polled_percent < -5pp", "client_polled_percent", False, "difference", -5),
        ("my_wait_ms > 2s", "my_wait_ms", True, "value", 2000),
    ],
)
def test_conditions(text: str, metric: str, above: bool, kind: str, bound: float) -> None:
    found = parse_condition(text)
    assert (found.metric, found.above, found.kind) == (metric, above, kind)
    assert found.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtt_p99_us", "is none"),
        ("rtt_p99_us = 5%", "is none"),
        ("rtt_p99_us > 5%", r"write \+5% or -5%"),
        ("rtt_p99_us > 5 apples", "the unit of the metric is us"),
        ("rate_rps > 5us", "the unit of the metric is 1/s"),
        ("rtt_p99_us < -100%", "nothing falls by 100 %"),
    ],
)
def test_conditions_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_condition(text)


@given(st.text(alphabet="rtp9_us<>=+-5.%e ", max_size=24))
def test_no_text_gives_a_traceback(text: str) -> None:
    try:
        assert math.isfinite(parse_condition(text).bound)
    except InputError:
        pass


@pytest.mark.parametrize(
    ("text", "shown", "by_estimate"),
    [
        ("rtt_p50_us > +20%", True, True),
        ("rtt_p50_us > +29%", False, True),
        ("rtt_p50_us > +40%", False, False),
        ("rtt_p50_us < -5%", False, False),
        ("rtt_p50_us > 70us", True, True),
        ("rtt_p50_us > +1us", True, True),
        ("rate_rps < -20%", True, True),
    ],
)
def test_met_when_shown(text: str, shown: bool, by_estimate: bool) -> None:
    options = Options(filters=("case=base", "contention.load=0%"))
    found = compare_sources([source(), source(scale=1.3)], options)
    condition = parse_condition(text)
    (one,) = judge(found, condition)
    (other,) = judge(found, condition, by_estimate=True)
    assert (one.met, other.met) == (shown, by_estimate)


def test_what_cannot_be_judged_is_not_met_and_told() -> None:
    found = compare_sources([source(troubled=True), source(scale=1.3)], Options(filters=("case=busypoll50",)))
    judged = list(judge(found, parse_condition("rtt_p50_us > +5%")))
    assert [finding.met for finding in judged] == [True, False]
    assert "a claim needs" in judged[1].unjudged
    assert [
        finding.met for finding in judge(found, parse_condition("rtt_p50_us > +5%"), by_estimate=True)
    ] == [
        True,
        True,
    ]
    none = compare_sources([source(), source()], Options(metrics=("rtt_p99_us",)))
    assert list(judge(none, parse_condition("rtt_p50_us > +5%"))) == []
