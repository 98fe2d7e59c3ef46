"""Load generators by real outputs: their figures by their own totals, and runs that failed or ended early."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_import_figures import files_of, one, runs_of, text_of
from tests.unit.test_import_more import read_text


@pytest.mark.parametrize("file", files_of("h2load"))
def test_reports_of_h2load(file: str) -> None:
    (run,) = runs_of(file)
    metrics: dict[str, Any] = dict(run.metrics)
    assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=0.001)
    assert metrics["rtt_min_us"] < metrics["rtt_mean_us"] < metrics["rtt_max_us"]
    assert run.verdict == ("failed" if "errors" in file else "valid")
    assert ("rtt_p50_us" in metrics) is ("1.70" in file)
    if "warm" in file:
        assert (metrics["elapsed_s"], run.workload["warmup_s"], run.workload["connections"]) == (2, 1, 2)


def test_times_of_single_requests_of_h2load_by_its_own_summary() -> None:
    metrics = one("h2load-json.json")
    own = json.loads(text_of("h2load-json.json"))["measurements"]["performance"]["request"]
    assert metrics["requests"] == len(own["samples"]) == 200
    for ours, theirs in (("min", "min"), ("mean", "mean"), ("max", "max")):
        assert metrics[f"rtt_{ours}_us"] == pytest.approx(1e6 * own[theirs])
    # Its median lies between the two in the middle; its deviation is that of a sample.
    assert metrics["rtt_p50_us"] == pytest.approx(1e6 * own["median"], rel=0.01)
    assert metrics["rtt_sd_us"] == pytest.approx(1e6 * own["sd"] * (199 / 200) ** 0.5)
    assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=1e-3)


@pytest.mark.parametrize("file", files_of("vegeta") + files_of("vegeta-json"))
def test_attacks_of_vegeta(file: str) -> None:
    (run,) = runs_of(file)
    metrics: dict[str, Any] = dict(run.metrics)
    answers = {code: float(count) for code, count in re.findall(r'"?([024]0\d?)"?:(\d+)', text_of(file))}
    assert metrics["requests"] == 600 and run.workload["loop"] == "open"
    assert metrics["rate_rps"] * metrics["elapsed_s"] == pytest.approx(answers.get("200", 0), rel=1e-3)
    assert metrics["achieved_rps"] == pytest.approx(300, rel=0.01)
    expected = "failed" if "refused" in file else "suspect" if "errors" in file else "valid"
    assert run.verdict == expected
    if file.endswith("json") and run.verdict == "valid":
        assert metrics["rtt_mean_us"] == pytest.approx(json.loads(text_of(file))["latencies"]["total"] / 600 / 1000)
    assert any(name.startswith("rtt_") for name in metrics) is (run.verdict != "failed")


def test_statuses_of_autocannon() -> None:
    metrics, document = one("autocannon.json"), json.loads(text_of("autocannon.json"))
    assert metrics["requests"] == document["2xx"]
    assert metrics["rate_rps"] == pytest.approx(document["2xx"] / document["duration"])
    assert metrics["rtt_p50_us"] == 1000 * document["latency"]["p50"]


@pytest.mark.parametrize("file", files_of("memtier-text"))
def test_totals_of_memtier_by_its_rows(file: str) -> None:
    metrics, text = one(file), text_of(file)
    sets, gets = (list(map(float, re.findall(r"[\d.]+", row))) for row in re.findall(r"(?m)^[SG]ets .*$", text)[-2:])
    # Operations a second, of gets hits and misses, the mean in ms, quantiles, kB a second.
    assert metrics["rate_rps"] == pytest.approx(sets[0] + gets[0])
    mean_ms = (sets[0] * sets[1] + gets[0] * gets[3]) / (sets[0] + gets[0])
    assert metrics["rtt_mean_us"] == pytest.approx(1000 * mean_ms, rel=1e-3)
    assert metrics["throughput_bps"] == pytest.approx((sets[-1] + gets[-1]) * 8192, rel=1e-3)
    assert metrics["requests"] == (4000 if "runs" in file else 2000)


MEMTIER_REFUSED = """2         Threads
2         Connections per thread
400       Requests per client


ALL STATS
====================================================================================================================
Type         Ops/sec     Hits/sec   Misses/sec    Avg. Latency     p50 Latency     p99 Latency       KB/sec
--------------------------------------------------------------------------------------------------------------------
Sets            0.00          ---          ---             ---             ---             ---         0.00
Totals          0.00         0.00         0.00            -nan         0.00700         0.00700         0.00
"""
MEMTIER_OLD = """4         Threads
50        Connections per thread
10        Seconds


ALL STATS
========================================================================
Type        Ops/sec     Hits/sec   Misses/sec      Latency       KB/sec
------------------------------------------------------------------------
Sets        1000.00          ---          ---      1.95000       100.00
Gets        9000.00      9000.00         0.00      1.85000       300.00
Totals     10000.00      9000.00         0.00      1.86000       400.00
"""


def test_what_befell_a_run_of_memtier(tmp_path: Path) -> None:
    """As version 2.3.0 writes it; with a server that refuses it prints quantiles of 7 us and ends with success."""
    (refused,) = read_text(tmp_path, MEMTIER_REFUSED)
    assert (refused.verdict, refused.metrics["requests"]) == ("failed", 0)
    assert not any(name.startswith("rtt_") for name in refused.metrics)
    text = text_of("memtier-text.txt")
    rate = one("memtier-text.txt")["rate_rps"]
    step = "[RUN #1 5%,   2 secs]  2 threads  2 conns:       {},   36040 (avg:   40390) ops/sec, 1.49MB/sec\n"
    (counted,) = read_text(tmp_path, step.format("900 ops") + step.format("1999 ops") + text)
    assert (counted.verdict, counted.metrics["requests"]) == ("valid", 1999)
    gone = "[RUN #1] Interrupted by user (Ctrl+C) after 3.0 secs, stopping threads...\n"
    (early,) = read_text(tmp_path, step.format("900 ops") + gone + text)
    assert (early.verdict, early.reasons) == ("suspect", ["memtier: interrupted after 3.0 s"])
    assert early.metrics["requests"] == round(3 * rate)
    (broken,) = read_text(tmp_path, 2 * "Connection error: Connection reset by peer\n" + text)
    assert broken.reasons == ["memtier: Connection error: Connection reset by peer (2 times)"]
    (old,) = read_text(tmp_path, MEMTIER_OLD)
    assert (old.metrics["rtt_mean_us"], old.metrics["requests"], old.workload["connections"]) == (1860, 100_000, 200)


def test_a_document_of_memtier_that_ended_early(tmp_path: Path) -> None:
    document = json.loads(text_of("memtier-2.3.0.json"))
    document["ALL STATS"]["Runtime"]["Interrupted"] = "true"
    (early,) = read_text(tmp_path, json.dumps(document))
    assert early.reasons == ["memtier: it ended early, after 2,000 requests, of 2,000 that were asked for"]
    document["ALL STATS"]["Totals"]["Connection Errors"] = 50
    document["configuration"]["requests"] = 5000
    (broken,) = read_text(tmp_path, json.dumps(document))
    assert broken.verdict == "suspect" and "50 connection errors of 2,050 requests" in broken.reasons[0]
    assert "after 2,000 requests, of 20,000 that" in broken.reasons[1]
    document["ALL STATS"]["Totals"] |= {"Count": 0, "Min Latency": 0.0, "Max Latency": 0.0, "Percentile Latencies": {}}
    (nothing,) = read_text(tmp_path, json.dumps(document))
    assert nothing.verdict == "failed" and not any(name.startswith("rtt_") for name in nothing.metrics)
    document["ALL STATS"]["Totals"]["Count"] = 0
    assert read_text(tmp_path, json.dumps(document))[0].verdict == "failed"


@pytest.mark.parametrize("errors", ["", "  Socket errors: connect 4, read 0, write 0, timeout 0\n"])
def test_a_run_of_wrk_without_an_answer_failed(tmp_path: Path, errors: str) -> None:
    text = re.sub(r"  614 requests.*\n.*\n", f"  0 requests in 1.02s, 0.00B read\n{errors}", text_of("wrk_errors.txt"))
    (run,) = read_text(tmp_path, text)
    assert (run.verdict, run.metrics["requests"]) == ("failed", 0)
    assert "rtt_mean_us" not in run.metrics
