"""Faster beside a hog: named only where sleep and idle time say why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.analysis.awake import KeptAwake
from harness.analysis.summary import overview
from harness.report.headline import awake
from harness.tables import load_source
from harness.tables.source import Source
from tests import command

FIFTY = Path(__file__).parents[2] / "results" / "reference" / "gallery" / "07-fifty"


def named(source: Source) -> list[KeptAwake]:
    return list(overview(source).awake)


def test_the_cells_that_a_hog_keeps_awake() -> None:
    by_factors = {item.factors: item for item in named(load_source(FIFTY))}
    usecs, load = "settings.*.busy_poll.usecs", "contention.load"
    # A busy poller never sleeps: a hog makes it no faster.
    assert set(by_factors) == {((usecs, "0"), (load, "50%")), ((usecs, "0"), (load, "100%"))}
    base = by_factors[(usecs, "0"), (load, "100%")]
    assert base.change.base.median == pytest.approx(55.9, abs=0.05)
    assert base.change.test.median == pytest.approx(45.8, abs=0.05)
    assert base.sleeps == pytest.approx(1.0, abs=0.01)
    assert base.idle_percent == pytest.approx((57.2, 27.4), abs=0.05)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("set_idle_percent", 60.0),  # as idle beside the hog as alone
        ("server_voluntary_per_request", 0.1),
        ("contention_load_percent", 100),  # no cell is alone
        ("rtt_p50_us", 50.0),  # no faster
    ],
)
def test_nothing_is_said_without_its_reason(column: str, value: float) -> None:
    source = load_source(FIFTY)
    runs = source.runs.assign(**{column: value})
    if column == "server_voluntary_per_request":
        runs = runs.assign(client_voluntary_per_request=value)
    assert named(replace(source, runs=runs)) == []


def test_a_cell_without_hogs_is_held_against_none() -> None:
    """Two cells that both have no hog, the second of them slower and idler."""
    source = load_source(FIFTY)
    first = source.runs["contention.load"] == "0%"
    idle, p50 = first.map({True: 30.0, False: 60.0}), first.map({True: 40.0, False: 80.0})
    runs = source.runs.assign(contention_load_percent=0.0, set_idle_percent=idle, rtt_p50_us=p50 + source.runs["block"])
    assert named(replace(source, runs=runs)) == []


def test_a_table_without_the_counters_says_nothing() -> None:
    source = load_source(FIFTY)
    for column in ("set_idle_percent", "contention_load_percent", "rtt_p50_us"):
        assert named(replace(source, runs=source.runs.drop(columns=column))) == []


def test_show_and_the_page_say_why() -> None:
    for words in (("show", FIFTY), ("show", FIFTY, "--format", "json")):
        done = command.call(*words)
        assert done.returncode == 0, done.stderr
        text = " ".join(done.stdout.split())
        assert "faster_beside_hogs" in text or (
            "contention.load=100% is faster than without its hog (p50 55.9 -> 45.8 us, 18.7 % lower): "
            "without it the server slept 1.00 times a request and the CPU set was idle 57.2 % of the time, with it 27"
            in text
        )
    (item, *_) = overview(load_source(FIFTY)).awake
    assert awake(item).endswith("An idle CPU must first be woken, and the hog keeps it awake")
