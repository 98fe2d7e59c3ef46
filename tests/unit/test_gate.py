"""--fail-if: conditions as typed, and when one is met, not met, or cannot be judged."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.compare import Options, compare_sources
from harness.analysis.compare.gate import judge, parse_gate
from harness.errors import InputError
from tests.unit.synthetic import source


@pytest.mark.parametrize(
    ("text", "metric", "quantity", "low", "high"),
    [
        ("rtt_p99_us > +5%", "rtt_p99_us", "ratio", 1.05, None),
        ("set_busy_percent > +5%", "set_busy_percent", "ratio", 1.05, None),
        ("set_busy_percent > +5pp", "set_busy_percent", "difference", 5.0, None),
        ("rate_rps<-10%", "rate_rps", "ratio", None, 0.9),
        ("rtt_p99_us > +3us", "rtt_p99_us", "difference", 3, None),
        ("rtt_p99_us > +3", "rtt_p99_us", "difference", 3, None),
        ("rtt_p99_us > 0.1ms", "rtt_p99_us", "level", 100, None),
        ("rtt_p99_us > 100", "rtt_p99_us", "level", 100, None),
        ("client_polled_percent < 50%", "client_polled_percent", "level", None, 50),
        ("client_polled_percent < -5pp", "client_polled_percent", "difference", None, -5),
        ("my_wait_ms > 2s", "my_wait_ms", "level", 2000, None),
    ],
)
def test_conditions(text: str, metric: str, quantity: str, low: float | None, high: float | None) -> None:
    found = parse_gate(text).condition
    assert (found.metric, found.quantity, found.closed) == (metric, quantity, False)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


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
        parse_gate(text)


@given(st.text(alphabet="rtp9_us<>=+-5.%e ", max_size=24))
def test_no_text_gives_a_traceback(text: str) -> None:
    try:
        condition = parse_gate(text).condition
        assert math.isfinite(condition.high if condition.low is None else condition.low)  # type: ignore[arg-type]
    except InputError:
        pass


@pytest.mark.parametrize(
    ("text", "shown", "by_estimate"),
    [
        ("rtt_p50_us > +20%", True, True),
        ("rtt_p50_us > +29%", False, True),
        ("rtt_p50_us > +40%", False, False),
        ("rtt_p50_us < -5%", False, False),
        ("rtt_p50_us < +60%", True, True),
        ("rtt_p50_us < +31%", False, True),
        ("rate_rps < -10%", True, True),
        ("rtt_p50_us > 70us", True, True),
        ("rtt_p50_us > +1us", True, True),
        ("rate_rps < -20%", True, True),
    ],
)
def test_met_when_shown(text: str, shown: bool, by_estimate: bool) -> None:
    options = Options(filters=("case=base", "contention.load=0%"))
    found = compare_sources([source(), source(scale=1.3)], options)
    condition = parse_gate(text)
    (one,) = judge(found, condition)
    (other,) = judge(found, condition, by_estimate=True)
    assert (one.met, other.met) == (shown, by_estimate)


def test_what_cannot_be_judged_is_not_met_and_told() -> None:
    found = compare_sources([source(troubled=True), source(scale=1.3)], Options(filters=("case=busypoll50",)))
    judged = list(judge(found, parse_gate("rtt_p50_us > +5%")))
    assert [finding.met for finding in judged] == [True, False]
    assert "a claim needs" in judged[1].unjudged
    assert [finding.met for finding in judge(found, parse_gate("rtt_p50_us > +5%"), by_estimate=True)] == [
        True,
        True,
    ]
    none = compare_sources([source(), source()], Options(metrics=("rtt_p99_us",)))
    assert list(judge(none, parse_gate("rtt_p50_us > +5%"))) == []


def test_a_level_from_few_runs_is_not_judged_as_a_claim_about_it_is_not() -> None:
    options = Options(filters=("case=base", "contention.load=0%"))
    few = compare_sources([source(blocks=3), source(blocks=3)], options)
    (result,) = judge(few, parse_gate("rtt_p50_us > 1us"))
    assert (result.met, result.interval is not None) == (False, True)
    assert result.unjudged
    (result,) = judge(few, parse_gate("rtt_p50_us > 1us"), by_estimate=True)
    assert result.met
