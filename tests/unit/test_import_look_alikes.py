"""Formats whose programs could not be had for the tests: look-alikes of their outputs, with numbers of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.importers import FORMATS, ImportOptions, choose_format
from harness.importers.files import gather
from harness.importers.model import ImportedRuns
from tests.unit import foreign
from tests.unit.real_outputs import REAL


def reading_of(tmp_path: Path, text: str) -> ImportedRuns:
    (tmp_path / "case.txt").write_text(text)
    files = gather(tmp_path)
    return choose_format("auto", files).read(files, ImportOptions())


def test_mutilate_alone(tmp_path: Path) -> None:
    (run,) = reading_of(tmp_path, foreign.mutilate(qps=1000.0, mean=200.0)).runs
    assert (run.metrics["rate_rps"], run.metrics["requests"], run.metrics["elapsed_s"]) == (1000, 30_000, 30)
    assert (run.metrics["rtt_mean_us"], run.metrics["rtt_p50_us"], run.metrics["rtt_p99_us"]) == (200, 180, 800)
    assert (run.metrics["errors"], run.metrics["missed"], run.verdict) == (0, 0, "valid")
    bad = foreign.mutilate().replace("Misses = 0 (0.0%)", "Misses = 90000 (1.5%)")
    (run,) = reading_of(tmp_path, bad).runs
    assert (run.verdict, run.reasons) == ("suspect", ["mutilate: Misses 90,000 of 6,000,000 requests"])


def test_samples_over_a_histogram_of_rtla_count_as_larger(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, foreign.RTLA)
    irq, thread = reading.runs
    assert [run.case for run in reading.runs] == ["case irq", "case thread"]
    # A bucket's upper end: 1000 of 2000 were below one microsecond.
    assert (irq.metrics["wakeup_p50_us"], irq.metrics["wakeup_p99_us"], irq.metrics["requests"]) == (1, 3, 2000)
    assert irq.metrics["wakeup_mean_us"] == pytest.approx((1000 * 0.5 + 970 * 1.5 + 30 * 2.5) / 2000)
    # 20 of 2000 lie beyond: the 99 % quantile is the last that is known, and only just.
    assert thread.metrics["wakeup_p99_us"] == 3 and thread.metrics["wakeup_max_us"] == 99
    assert "wakeup_p99_9_us" not in thread.metrics and "wakeup_mean_us" not in thread.metrics
    assert any("20 of 2,000 lie above the histogram" in finding.text for finding in reading.findings)
    assert irq.metrics["elapsed_s"] == 65 and irq.workload["mode"] == "timerlat"
    more = reading_of(tmp_path, foreign.RTLA.replace("over:         0        10", "over:         0        90"))
    assert any("add up to" in finding.text for finding in more.findings)


def test_the_closing_lines_of_all_cpus_of_a_newer_rtla_count_nothing_twice(tmp_path: Path) -> None:
    rows = "ALL:        IRQ       Thr\ncount:     1000      1000\nmin:          0         1\n"
    rows += "avg:       0.95      1.75\nmax:          2        77\n"
    one_cpu = "\n".join(line[:26] if line[:1] != "#" else line for line in foreign.RTLA.splitlines())
    reading = reading_of(tmp_path, one_cpu + "\n" + rows)
    irq, thread = reading.runs
    assert (irq.metrics["requests"], irq.metrics["wakeup_mean_us"]) == (1000, 0.95)
    # The mean of all, of those beyond the histogram too, which its rows do not have.
    assert (thread.metrics["requests"], thread.metrics["wakeup_mean_us"]) == (1000, 1.75)
    assert not any("add up to" in finding.text for finding in reading.findings)


def test_more_samples_than_a_quantile_can_bear_leave_it_blank(tmp_path: Path) -> None:
    text = foreign.RTLA.replace(
        "over:         0        10         0        10", "over:         0       600         0       600"
    )
    thread = reading_of(tmp_path, text).runs[1]
    assert thread.metrics["wakeup_p50_us"] == 2 and "wakeup_p90_us" not in thread.metrics


def test_fortio(tmp_path: Path) -> None:
    (run,) = reading_of(tmp_path, foreign.FORTIO).runs
    assert (run.metrics["rate_rps"], run.metrics["requests"], run.metrics["elapsed_s"]) == (499.5, 2000, 4.004)
    assert [run.metrics[f"rtt_{name}_us"] for name in ("min", "p50", "p99", "max")] == pytest.approx(
        [100, 350, 1500, 20_000]
    )
    assert "rtt_p99_9_us" not in run.metrics
    facts = {"mode": "http", "protocol": "tcp", "rate_rps": 500, "threads": 8, "connections": 8, "loop": "open"}
    assert {name: run.workload[name] for name in facts} == facts
    assert (run.verdict, run.metrics["errors"], run.environment["latency_from"]) == ("suspect", 10, "sent")
    (good,) = reading_of(tmp_path, foreign.FORTIO.replace('"503": 10', '"204": 10')).runs
    assert (good.verdict, good.metrics["errors"]) == ("valid", 0)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_says_what_it_converts(name: str) -> None:
    importer = FORMATS[name]
    assert importer.title and importer.one_run and importer.tried and importer.unknown


BUSYBOX = """PING 10.0.0.2 (10.0.0.2): 56 data bytes
64 bytes from 10.0.0.2: seq=0 ttl=64 time=0.412 ms
64 bytes from 10.0.0.2: seq=1 ttl=64 time=0.398 ms

--- 10.0.0.2 ping statistics ---
2 packets transmitted, 2 packets received, 0% packet loss
round-trip min/avg/max = 0.398/0.405/0.412 ms
"""
GERMAN = """PING 10.0.0.2 (10.0.0.2) 56(84) Bytes an Daten.
64 Bytes von 10.0.0.2: icmp_seq=1 ttl=64 Zeit=0,412 ms
64 Bytes von 10.0.0.2: icmp_seq=2 ttl=64 Zeit=0,398 ms

--- 10.0.0.2 Ping-Statistiken ---
3 Pakete übertragen, 2 empfangen, 33,3333% Paketverlust, Zeit 1001ms
rtt min/avg/max/mdev = 0,398/0,405/0,412/0,007 ms
"""


@pytest.mark.parametrize(("text", "sent", "lost_percent"), [(BUSYBOX, 2, 0), (GERMAN, 3, 33.3333)])
def test_ping_of_busybox_and_in_another_language(tmp_path: Path, text: str, sent: int, lost_percent: float) -> None:
    (tmp_path / "a.txt").write_text(text)
    (run,) = FORMATS["ping"].read(gather(tmp_path), ImportOptions()).runs
    assert run.workload["size_bytes"] == 56
    assert (run.metrics["sent"], run.metrics["requests"]) == (sent, 2)
    assert run.metrics["lost_percent"] == pytest.approx(lost_percent)
    assert [run.metrics[f"rtt_{name}_us"] for name in ("min", "mean", "max")] == pytest.approx([398, 405, 412])


def test_notes_before_a_document_are_left_out_and_said(tmp_path: Path) -> None:
    text = (REAL / "fio.json").read_text()
    (tmp_path / "a.json").write_text("note: both iodepth >= 1 and synchronous I/O engine are selected\n" + text)
    (tmp_path / "b.json").write_text(text)
    reading = FORMATS["fio"].read(gather(tmp_path), ImportOptions())
    figures = [run.metrics for run in reading.runs]
    assert len(figures) == 4 and figures[:2] == figures[2:]
    (finding,) = reading.findings
    assert finding.line == 1 and "not JSON" in finding.text


OHA = """Summary:
  Success rate:\t100.00%
  Total:\t2.0003 secs
  Slowest:\t12.30 ms
  Fastest:\t0.10 ms
  Average:\t1.00 ms
  Requests/sec:\t49990.1234

Response time distribution:
  50.00% in 0.9000 ms
  99.00% in 3.0000 ms
"""
GHZ = """
Summary:
  Count:\t20000
  Total:\t4.00 s
  Slowest:\t20.10 ms
  Fastest:\t200.00 µs
  Average:\t1.90 ms
  Requests/sec:\t5000.00

Latency distribution:
  50 % in 1.80 ms
  99 % in 5.00 ms
"""


@pytest.mark.parametrize(
    ("text", "kind", "figures"), [(OHA, "oha", [100, 900, 3000, 12_300]), (GHZ, "ghz", [200, 1800, 5000, 20_100])]
)
def test_programs_that_print_as_hey_does_in_units_of_their_own(
    tmp_path: Path, text: str, kind: str, figures: list[float]
) -> None:
    (run,) = reading_of(tmp_path, text).runs
    assert run.workload["kind"] == kind
    assert [run.metrics[f"rtt_{name}_us"] for name in ("min", "p50", "p99", "max")] == pytest.approx(figures)


NETPERF_OTHERS = """{test} TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 10.0.0.1 () port 0 AF_INET{burst}
{titles}
"""


SCTP = "Socket Size   Request  Resp.   Elapsed  Trans.\n\n212992 212992 1 1 10.00 25000.10"
SENDFILE = (
    "Socket Socket  Message  Elapsed\nSize   Size    Size     Time     Throughput\n"
    "bytes  bytes   bytes    secs.    10^6bits/sec\n\n131072  16384  16384    10.00    9412.10"
)


@pytest.mark.parametrize(
    ("test", "titles", "mode", "metric", "value"),
    [
        ("SCTP REQUEST/RESPONSE", SCTP, "sctp_rr", "rate_rps", 25_000.1),
        ("TCP SENDFILE", SENDFILE, "tcp_sendfile", "throughput_bps", 9.4121e9),
    ],
)
def test_netperf_tests_of_an_older_make(
    tmp_path: Path, test: str, titles: str, mode: str, metric: str, value: float
) -> None:
    text = NETPERF_OTHERS.format(test=test, titles=titles, burst=" : first burst 0" if "SCTP" in test else "")
    (run,) = reading_of(tmp_path, text).runs
    assert (run.workload["mode"], run.metrics[metric]) == (mode, pytest.approx(value))


def test_noise_is_no_wake_up(tmp_path: Path) -> None:
    text = "# RTLA osnoise histogram\n# Time unit is microseconds (us)\n# Duration:   0 00:00:10\nIndex   CPU-000\n"
    (run,) = reading_of(tmp_path, text + "0 100\n1 10\nover: 0\ncount: 110\nmin: 0\navg: 0\nmax: 2\n").runs
    assert (run.workload["mode"], run.environment["latency_basis"]) == ("osnoise", "length of a noise")
