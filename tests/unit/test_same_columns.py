"""A run of a program and an import of what it printed have the same columns, with the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import columns
from harness.formats import latency
from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from harness.run import loadgen_report
from harness.run.checks import doubts
from harness.run.metrics import run_metrics
from harness.spec.checks import Checks
from harness.stats import MIN_EXCEEDANCES
from harness.workloads import WORKLOADS, ProgramOutput
from harness.workloads.base import COUNTED_BY_THE_RUN
from tests.unit.test_metrics import delta, outcome

REAL = Path(__file__).parents[1] / "golden" / "import"
ENDS = {"from": "c", "to": "s"}
# A golden output, the workload that prints the like, and the file that the program writes beside it.
OUTPUTS: list[tuple[str, dict[str, Any], str]] = [
    ("iperf3_tcp.json", {"kind": "iperf3"}, ""),
    ("iperf3_udp.json", {"kind": "iperf3", "protocol": "udp"}, ""),
    ("iperf3_stopped.json", {"kind": "iperf3"}, ""),
    ("netperf_rr.txt", {"kind": "netperf"}, ""),
    ("netperf_stream.txt", {"kind": "netperf", "test": "tcp_stream"}, ""),
    ("sockperf.txt", {"kind": "sockperf"}, "sockperf.log"),
]


def of_a_run(output: str, fields: dict[str, Any], log: str) -> dict[str, Any]:
    """The columns of a run whose client left this."""
    workload = WORKLOADS[fields["kind"]].model_validate(fields | ENDS)
    text = (REAL / log).read_text() if log else ""
    reading = workload.read(ProgramOutput((REAL / output).read_text(), log=text))
    client = dict(reading.result) | {"whole_life": True}
    found = outcome(client=client, metrics=dict(reading.metrics), delta=delta())
    metrics: dict[str, Any] = run_metrics(found)
    timed = loadgen_report.of_samples(reading.samples)
    return metrics | {name: value for name, value in timed.items() if value is not None}


def of_an_import(kind: str, output: str) -> dict[str, float]:
    """The columns of the only run that importing this gives."""
    (run,) = FORMATS[kind].read(gather(REAL / output), ImportOptions()).runs
    return {name: value for name, value in run.metrics.items() if value is not None}


@pytest.mark.parametrize(("output", "fields", "log"), OUTPUTS, ids=[output for output, _, _ in OUTPUTS])
def test_a_run_has_the_columns_of_an_import(output: str, fields: dict[str, Any], log: str) -> None:
    run, imported = of_a_run(output, fields, log), of_an_import(fields["kind"], log or output)
    assert imported and set(imported) <= set(columns.BY_NAME)
    told = {name: value for name, value in imported.items() if name not in COUNTED_BY_THE_RUN}
    # Doubling a half that was rounded to a nanosecond leaves steps of two.
    assert {name: run.get(name) for name in told} == pytest.approx(told, rel=1e-6)
    assert set(imported) & COUNTED_BY_THE_RUN <= set(run)


def test_what_a_run_of_iperf3_lacked() -> None:
    udp = of_a_run("iperf3_udp.json", {"kind": "iperf3", "protocol": "udp"}, "")
    assert udp["udp_jitter_us"] == pytest.approx(24.6, abs=0.1) and udp["lost"] == 0
    tcp = of_a_run("iperf3_tcp.json", {"kind": "iperf3"}, "")
    assert {"tcp_rtt_min_us", "tcp_rtt_mean_us", "tcp_rtt_max_us"} <= set(tcp)
    # The run's own counters come first: they see every node, and the whole of a process.
    assert tcp["retransmits"] == 0 and tcp["server_cpu_percent"] == pytest.approx(20)


def test_lost_datagrams_of_a_stream_are_no_lost_requests() -> None:
    run = outcome(client={"elapsed_ns": 10**9}, metrics={"lost": 200.0, "lost_percent": 10.0})
    assert not [text for text in doubts(run, run_metrics(run), Checks(), set()) if "lost" in text]


def test_blank_quantiles_follow_one_rule() -> None:
    assert latency.MIN_EXCEEDANCES == MIN_EXCEEDANCES
