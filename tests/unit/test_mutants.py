"""Behaviour that small changes of the code once broke unseen: each test here fails for one such change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.analysis.compare import Options, compare_sources
from harness.analysis.compare.gate import judge, parse_condition
from harness.importers import FORMATS
from harness.importers import Options as ImportOptions
from harness.importers.files import gather
from harness.run import metrics, runner
from harness.run.measure import cpu_set
from harness.stats import Interval
from harness.workloads.base import Said
from tests import experiment
from tests.unit.foreign import NETPERF_STREAM
from tests.unit.synthetic import source
from tests.unit.test_metrics import difference, outcome
from tests.unit.test_workloads import make


def interval_of(metric: str) -> Interval:
    """The interval of a metric's change between two made-up sets, as a share."""
    (finding,) = judge(made_up(), parse_condition(f"{metric} < +0%"))
    assert finding.interval is not None
    assert finding.interval.low < finding.interval.high
    return finding.interval


def made_up() -> Any:
    """A comparison of one cell of two sets, the second some 30 % slower."""
    return compare_sources(
        [source(), source(scale=1.3)], Options(filters=("case=base", "contention.load=0%"))
    )


@pytest.mark.parametrize(
    ("sign", "place", "met"),
    [
        ("<", "above the interval", True),
        ("<", "within the interval", False),
        ("<", "below the interval", False),
        (">", "above the interval", False),
        (">", "within the interval", False),
        (">", "below the interval", True),
    ],
)
def test_fail_if_is_met_when_the_whole_interval_lies_beyond_the_bound(
    sign: str, place: str, met: bool
) -> None:
    ends = interval_of("rtt_p50_us")
    width = ends.high - ends.low
    bound = {
        "above the interval": ends.high + width,
        "within the interval": (ends.low + ends.high) / 2,
        "below the interval": ends.low - width,
    }[place]
    (finding,) = judge(made_up(), parse_condition(f"rtt_p50_us {sign} {100 * bound:+.9f}%"))
    assert (finding.met, finding.unjudged) == (met, "")


def test_the_host_s_polled_packets_are_those_of_all_nodes() -> None:
    nodes = {
        name: {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": polled}
        for name, polled in (("c", 300), ("s", 200))
    }
    run = outcome(difference=difference(nodes=nodes))
    assert metrics.seen_on(run, "*", 0.0).polled == 500
    assert [metrics.seen_on(run, name, 0.0).polled for name in ("c", "s")] == [300, 200]


@pytest.mark.parametrize(
    ("settings", "polling"),
    [
        ({"*": {"host_busy_poll": {"busy_read": 50}}}, {"client", "server"}),
        ({"*": {"busy_poll": {"usecs": 50}}}, {"client", "server"}),
        ({"server": {"busy_poll": {"usecs": 50}}}, {"server"}),
        ({}, set()),
    ],
)
def test_who_polls_is_told_by_node_and_the_whole_host_is_every_node(
    settings: dict[str, Any], polling: set[str], tmp_path: Path
) -> None:
    run = experiment.plan(tmp_path, settings=settings).runs[0]
    assert runner._polling(run) == polling


@pytest.mark.parametrize(("contention", "cpus"), [(None, {0, 1}), ({"on": "3"}, {0, 1, 3})])
def test_the_cpus_of_the_hogs_are_in_the_cpu_set(
    contention: dict[str, Any] | None, cpus: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: [0, 1, 2, 3])
    run = experiment.plan(tmp_path, contention=contention).runs[0]
    assert cpu_set(run.cell.spec) == cpus


UNITS = [("10^3bits/s", 1e3), ("10^6bits/s", 1e6), ("10^9bits/s", 1e9)]


@pytest.mark.parametrize(("unit", "bps"), UNITS)
def test_a_rate_of_netperf_is_read_in_the_unit_it_names(unit: str, bps: float) -> None:
    line = f"941.5,{unit},1.00,-1.000,-1,-1,-1,-1,-1,-1,-1\n"
    reading = make("netperf", test="tcp_stream").read(Said(line))
    assert reading.metrics["throughput_bps"] == pytest.approx(941.5 * bps)


@pytest.mark.parametrize(("unit", "bps"), UNITS)
def test_an_imported_rate_of_netperf_is_read_in_the_unit_it_names(
    unit: str, bps: float, tmp_path: Path
) -> None:
    (tmp_path / "stream.txt").write_text(NETPERF_STREAM.replace("10^6bits/s", unit))
    (run,) = FORMATS["netperf"].read(gather(tmp_path), ImportOptions(unit="us")).runs
    assert run.metrics["throughput_bps"] == pytest.approx(9000.5 * bps)
