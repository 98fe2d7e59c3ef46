"""Plain reports of iperf3, ab, hey, redis-benchmark and netperf without titles, against what they say themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.importers import FORMATS, ImportOptions, choose_format
from harness.importers.files import gather
from harness.importers.model import ImportedRun, ImportedRuns
from tests.unit.real_outputs import OUTPUTS, REAL

_ROW = re.compile(
    r"^\[ *(\d+)\](?:\[(..-.)\])? +([\d.]+)-([\d.]+) +sec +([\d.]+) ([KMG])Bytes +\S+ \S+/sec.* (sender|receiver)\s*$",
    re.MULTILINE,
)
_SIZES = {"K": 2**10, "M": 2**20, "G": 2**30}


def reading_of(path: Path) -> ImportedRuns:
    files = gather(path)
    return choose_format("auto", files).read(files, ImportOptions())


def runs_of(file: str) -> list[ImportedRun]:
    return reading_of(REAL / file).runs


def bits(text: str, roles: tuple[str, ...], side: str) -> float:
    """Of single streams, from their bytes and seconds."""
    rows = [row for row in _ROW.findall(text) if row[1] in roles and row[6] == side]
    return sum(8 * float(row[4]) * _SIZES[row[5]] / (float(row[3]) - float(row[2])) for row in rows)


@pytest.mark.parametrize("file", [output.file for output in OUTPUTS if output.format == "iperf3-text"])
def test_rates_of_iperf3_by_the_bytes_of_its_streams(file: str) -> None:
    text = (REAL / file).read_text()
    (run,) = runs_of(file)
    side = "sender" if "server_reverse" in file else "receiver"
    assert (run.verdict, run.environment["measured_by"]) == ("valid", side)
    assert run.metrics["throughput_bps"] == pytest.approx(bits(text, ("", "TX-C"), side), rel=0.02)
    back = bits(text, ("RX-C",), "receiver")
    assert run.metrics.get("reverse_throughput_bps", 0) == pytest.approx(back, rel=0.02)
    ways = {"bidir": "both", "reverse": "server to client"}
    assert run.workload["direction"] == next((way for name, way in ways.items() if name in file), "client to server")
    two = any(name in file for name in ("text.", "text-", "bidir", "server_udp"))
    assert run.workload["connections"] == (2 if two else 1)
    if "udp" in file:
        assert run.workload["protocol"] == "udp" and run.metrics["lost_percent"] == 0
        assert "retransmits" not in run.metrics
    elif side == "sender" or "server" not in file:
        assert run.metrics["retransmits"] is not None and run.workload["protocol"] == "tcp"
    if "-V" in file or file in ("iperf3-text.txt", "iperf3-text-3.21.txt"):
        cpu = [float(share) for share in re.findall(r"(?:sender|receiver) ([\d.]+)% \(", text)]
        assert [run.metrics["client_cpu_percent"], run.metrics["server_cpu_percent"]] == cpu
        assert (run.workload["size_bytes"], run.started_utc[:4]) == (131072, "2026")


def test_tests_of_a_server_are_runs_and_a_report_without_summary_is_none(tmp_path: Path) -> None:
    text = (REAL / "iperf3-text_server.txt").read_text()
    (tmp_path / "a.txt").write_text(text + (REAL / "iperf3-text_server_reverse.txt").read_text())
    first, second = reading_of(tmp_path).runs
    assert (first.environment["measured_by"], second.environment["measured_by"]) == ("receiver", "sender")
    (tmp_path / "a.txt").write_text(text[: text.index("- - -")])
    (torn,) = reading_of(tmp_path).runs
    assert torn.reasons == ["iperf3: the output ends before the summary of the test"]
    (tmp_path / "a.txt").write_text("iperf3: error - unable to connect to server: Connection refused\n")
    (refused,) = reading_of(tmp_path).runs
    assert refused.reasons == ["iperf3: error - unable to connect to server: Connection refused"]
    lossy = (REAL / "iperf3-text_udp_reverse.txt").read_text()
    lossy = re.sub(r"\d+/(\d+) \(0%\)  receiver", r"5/\1 (25%)  receiver", lossy)
    (tmp_path / "a.txt").write_text(lossy)
    (run,) = reading_of(tmp_path).runs
    assert run.metrics["lost"] == 5 and (run.metrics["lost_percent"] or 0) > 20


@pytest.mark.parametrize("file", ["ab.txt", "hey.txt"])
def test_reports_of_http_by_their_totals(file: str) -> None:
    (run,) = runs_of(file)
    metrics: dict[str, Any] = dict(run.metrics)
    assert run.verdict == "valid" and metrics["requests"] == 2000
    assert metrics["rate_rps"] * metrics["elapsed_s"] == pytest.approx(2000, rel=0.01)
    # Closed: four at a time. ab prints whole milliseconds; hey's four digits hold what it does between requests too.
    assert metrics["rtt_mean_us"] == pytest.approx(4e6 / metrics["rate_rps"], abs=1000)
    assert metrics["rtt_p50_us"] <= metrics["rtt_p99_us"] <= metrics["rtt_max_us"]
    assert run.workload["response_sizes"] == "1499"


def test_answers_that_are_errors_make_a_report_suspect(tmp_path: Path) -> None:
    (run,) = runs_of("ab_errors.txt")
    # Not one good answer.
    assert (run.verdict, run.metrics["errors"]) == ("failed", 300)
    text = (
        (REAL / "hey.txt").read_text().replace("[200]\t2000 responses", "[200]\t1900 responses\n  [503]\t100 responses")
    )
    (tmp_path / "a.txt").write_text(text)
    (run,) = reading_of(tmp_path).runs
    assert (run.metrics["requests"], run.metrics["errors"], run.verdict) == (2000, 100, "suspect")


def test_the_report_of_redis_benchmark_by_its_steps() -> None:
    text = (REAL / "redis-benchmark_report.txt").read_text()
    runs = runs_of("redis-benchmark_report.txt")
    assert [run.workload["mode"] for run in runs] == ["SET", "GET"]
    for run, part in zip(runs, re.split(r"====== \w+ ======", text)[1:], strict=True):
        steps = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds \(cumulative count (\d+)\)", part)
        assert run.metrics["requests"] == 2000 == int(steps[-1][2])
        assert (run.workload["connections"], run.workload["size_bytes"]) == (4, 100)
        rate, requests, elapsed = (run.metrics[name] for name in ("rate_rps", "requests", "elapsed_s"))
        assert rate is not None and requests is not None and elapsed is not None
        assert rate * elapsed == pytest.approx(requests, rel=0.2)  # its seconds have two decimals
        assert run.metrics["rtt_mean_us"] == pytest.approx(4e6 / rate, rel=0.4)
        assert run.metrics["rtt_p50_us"] in {1e3 * float(step[1]) for step in steps}
    quiet = runs_of("redis-benchmark_quiet.txt")
    lines = re.findall(
        r"(\w+): ([\d.]+) requests per second, p50=([\d.]+)", (REAL / "redis-benchmark_quiet.txt").read_text()
    )
    figures = [(run.workload["mode"], run.metrics["rate_rps"], run.metrics["rtt_p50_us"]) for run in quiet]
    assert figures == [(mode, float(rate), pytest.approx(1e3 * float(p50))) for mode, rate, p50 in lines]


BARE_RR = "16384  131072 64       128      10.00    25010.42   \n16384  131072\n"
BARE_STREAM = "131072  16384  16384    10.00    9414.10   \n"
BARE_UDP = "212992   65507   10.00      95012      0    4979.28\n212992           10.00      94995           4978.39\n"


def test_netperf_without_titles_is_read_where_its_form_tells(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(BARE_RR)
    (run,) = reading_of(tmp_path).runs
    assert (run.metrics["rate_rps"], run.metrics["elapsed_s"], run.verdict) == (25010.42, 10.0, "valid")
    assert (run.workload["size_bytes"], run.workload["response_sizes"]) == (64, "128")
    assert "protocol" not in run.workload and "mode" not in run.workload
    for text in (BARE_STREAM, BARE_UDP):
        (tmp_path / "a.txt").write_text(text)
        (run,) = reading_of(tmp_path).runs
        assert run.verdict == "failed" and "(-P 0), so that its rate has no unit" in run.reasons[0]
    assert not FORMATS["netperf-bare"].sniff(type("Head", (), {"text": "1,2\n3,4\n", "name": "a"})())
