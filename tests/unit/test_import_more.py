"""Reports people have beside the JSON: real ones against their own other lines, and look-alikes of what did not run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.importers import FORMATS, ImportOptions, choose_format
from harness.importers.files import gather
from harness.importers.model import ImportedRun
from tests.unit.real_outputs import REAL
from tests.unit.test_import_figures import files_of, numbers, one, runs_of, text_of


def read_text(tmp_path: Path, text: str, options: ImportOptions | None = None) -> list[ImportedRun]:
    (tmp_path / "case.txt").write_text(text)
    files = gather(tmp_path)
    return choose_format("auto", files).read(files, options or ImportOptions()).runs


def test_threads_of_cyclictest_are_weighted_by_their_cycles(tmp_path: Path) -> None:
    text, metrics = text_of("cyclictest-text.txt"), one("cyclictest-text.txt")
    cycles, means = np.array(numbers(r"C: *(\d+)", text)), np.array(numbers(r"Avg: *(\d+)", text))
    assert metrics["requests"] == cycles.sum()
    assert metrics["wakeup_mean_us"] == pytest.approx(np.average(means, weights=cycles))
    assert metrics["wakeup_max_us"] == max(numbers(r"Max: *(\d+)", text))
    # A display is its last state; and -N, which nothing shows, is said.
    earlier = re.sub(r"C: *\d+", "C:      7", text)
    again = read_text(tmp_path, earlier + "\x1b[4A" + text)[0].metrics
    assert again == metrics
    inside = read_text(tmp_path, text, ImportOptions(unit="ns"))[0].metrics
    assert inside["wakeup_max_us"] == pytest.approx(metrics["wakeup_max_us"] / 1000)


def test_the_histogram_of_cyclictest_by_numpy() -> None:
    text, metrics = text_of("cyclictest-text_histogram.txt"), one("cyclictest-text_histogram.txt")
    rows = np.array([row.split() for row in re.findall(r"(?m)^\d{6}[ \t].*$", text)], dtype=float)
    counts, over = rows[:, 1:].sum(axis=1), sum(map(float, re.findall(r"Overflows: (\d+) (\d+)", text)[0]))
    total = counts.sum() + over
    assert metrics["requests"] == total
    reached = np.cumsum(counts) / total
    for name, level in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95)):
        assert metrics[f"wakeup_{name}_us"] == rows[np.searchsorted(reached, level), 0] + 1
    # 50 of some 1,660 lie above its last bucket: what is beyond 97 % nobody knows.
    assert over / total > 0.01 and "wakeup_p99_us" not in metrics


@pytest.mark.parametrize("file", files_of("mtr") + files_of("mtr-json") + files_of("mtr-csv"))
def test_hops_of_mtr(file: str) -> None:
    metrics, text = one(file), text_of(file)
    assert metrics["lost_percent"] == 0 and metrics["requests"] == metrics["sent"] > 0
    if file.endswith("json"):
        (hop,) = json.loads(text)["report"]["hubs"]
        own = [hop[name] * 1000 for name in ("Best", "Avg", "Wrst", "StDev")]
        assert [metrics[f"rtt_{name}_us"] for name in ("min", "mean", "max", "sd")] == pytest.approx(own)
    else:
        sign = "Mtr_" if "csv" in file else "HOST:"
        (titles,) = (line for line in text.splitlines() if line.startswith(sign))
        split = (lambda line: line.split(",")) if "csv" in file else str.split
        # From the end: a host may be two words, and the CSV's titles end in a comma.
        named = dict(zip(split(titles.rstrip(","))[::-1], split(text.splitlines()[-1])[::-1], strict=False))
        own = {ours: 1000 * float(named[name]) for ours, name in (("min", "Best"), ("mean", "Avg"), ("max", "Wrst"))}
        assert all(metrics.get(f"rtt_{name}_us", 0) == pytest.approx(value) for name, value in own.items())
        # Tenths of a millisecond, or hundredths: what is 0 is not known, and no figure of 0 passes for the fastest.
        assert 0 not in [value for name, value in metrics.items() if name.startswith("rtt_")]


def test_a_path_has_a_run_a_hop_and_a_silent_one_failed(tmp_path: Path) -> None:
    titles = "HOST: me          Loss%   Snt   Last   Avg  Best  Wrst StDev\n"
    rows = "  1.|-- 10.0.0.1    0.0%    10    0.4   0.5   0.3   0.9   0.2\n"
    rows += "  2.|-- ???        100.0    10    0.0   0.0   0.0   0.0   0.0\n"
    first, second = read_text(tmp_path, titles + rows)
    assert (first.case, first.metrics["rtt_mean_us"], first.verdict) == ("case 1 10.0.0.1", 500, "valid")
    assert second.verdict == "failed"
    (odd,) = read_text(tmp_path, titles + "  1.|-- 10.0.0.1    0.0%    10   -0.4   0.5   0.3   0.9   0.2\n")
    assert odd.metrics["rtt_mean_us"] == 500


@pytest.mark.parametrize("file", files_of("perf-bench"))
def test_rates_of_perf_bench(file: str) -> None:
    metrics, text = one(file), text_of(file)
    if each := numbers(r"([\d.]+) usecs/op", text):
        assert metrics["rate_rps"] == pytest.approx(1e6 / each[0], rel=1e-3)
        assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=0.02)
    assert not [name for name in metrics if name.startswith(("rtt_", "wakeup_"))]


@pytest.mark.parametrize("file", files_of("pgbench"))
def test_reports_of_pgbench(file: str) -> None:
    (run,) = runs_of(file)
    facts: dict[str, Any] = {**run.workload, **run.metrics}
    mean_s = facts["rtt_mean_us"] / 1e6
    if "rate" in file:
        assert (run.workload["loop"], run.environment["latency_from"]) == ("open", "due")
        assert run.metrics["rtt_sd_us"] == 1000 * numbers(r"stddev = ([\d.]+)", text_of(file))[0]
    else:
        assert mean_s == pytest.approx(facts["connections"] / facts["rate_rps"], rel=0.001)
    assert run.workload.get("connect_per_request", "") == ("on" if "connect" in file else "")


@pytest.mark.parametrize("file", files_of("sysbench"))
def test_events_of_sysbench(file: str) -> None:
    metrics = one(file)
    own = numbers(r"(?:reads/s|events per second): +([\d.]+)", text_of(file))[0]
    assert metrics["rate_rps"] == pytest.approx(own, rel=0.02)
    assert not [name for name in metrics if name.startswith(("rtt_", "wakeup_"))]
    assert ("io_max_us" in metrics) == ("fileio" in file) and "io_min_us" not in metrics  # 0.00 ms


@pytest.mark.parametrize(("errors", "verdict"), [(0, "valid"), (90_000, "suspect")])
def test_errors_that_sysbench_ignored_make_a_run_suspect(errors: int, verdict: str, tmp_path: Path) -> None:
    text = (REAL / "sysbench.txt").read_text().replace("CPU speed:", "SQL statistics:")
    text = text.replace("SQL statistics:", f"SQL statistics:\n    ignored errors:    {errors}   (9.0 per sec.)", 1)
    (run,) = read_text(tmp_path, text)
    assert run.verdict == verdict


def test_transactions_of_sysbench_are_round_trips(tmp_path: Path) -> None:
    text = (REAL / "sysbench.txt").read_text().replace("CPU speed:", "SQL statistics:")
    (run,) = read_text(tmp_path, text)
    printed = dict(re.findall(r"(min|avg|max): +([\d.]+)", text))
    assert [run.metrics[f"rtt_{name}_us"] for name in ("min", "mean", "max")] == pytest.approx(
        [1000 * float(printed[name]) for name in ("min", "avg", "max")]
    )


@pytest.mark.parametrize("file", files_of("fio-text"))
def test_rates_of_fio(file: str) -> None:
    for run in runs_of(file):
        metrics: dict[str, Any] = dict(run.metrics)
        assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=0.01)
        assert metrics["io_min_us"] <= metrics["io_p50_us"] <= metrics["io_p99_us"] <= metrics["io_max_us"]
        # One at a time: they cannot have lasted longer than the second.
        assert metrics["requests"] * metrics["io_mean_us"] < 1e6 * metrics["elapsed_s"]
    assert [run.workload["mode"] for run in runs_of(file)] == ["read", "write"]


def test_a_report_of_mutilate() -> None:
    metrics = one("mutilate.txt")
    assert metrics["requests"] / metrics["elapsed_s"] == pytest.approx(metrics["rate_rps"], rel=1e-3)
    # Two connections, each with one request at a time.
    assert metrics["rtt_mean_us"] == pytest.approx(2e6 / metrics["rate_rps"], rel=0.01)


VEGETA = """Requests      [total, rate, throughput]         2000, 500.25, 498.10
Duration      [total, attack, wait]             4.005s, 3.998s, 7.21ms
Latencies     [min, mean, 50, 90, 95, 99, max]  90.1µs, 400.5µs, 350µs, 600µs, 800µs, 1.5ms, 20.25ms
Bytes In      [total, mean]                     3714690, 3095.57
Bytes Out     [total, mean]                     0, 0.00
Success       [ratio]                           99.50%
Status Codes  [code:count]                      200:1990  503:10
Error Set:
503 Service Unavailable
"""
VEGETA_JSON = json.dumps(
    {
        "latencies": {"total": 801_000_000, "mean": 400_500, "50th": 350_000, "90th": 600_000, "95th": 800_000,
                      "99th": 1_500_000, "max": 20_250_000, "min": 90_100},
        "duration": 3_998_000_000, "wait": 7_000_000, "requests": 2000, "rate": 500.25, "throughput": 498.1,
        "success": 0.995, "status_codes": {"200": 1990, "503": 10}, "errors": ["503 Service Unavailable"],
    }
)  # fmt: skip
K6 = """     http_req_duration..............: avg=400.5µs min=90.1µs med=350µs max=20.25ms p(90)=600µs p(95)=800µs
       { expected_response:true }...: avg=390µs   min=90.1µs med=340µs max=20.25ms p(90)=600µs p(95)=800µs
     http_req_failed................: 0.50%  ✓ 10        ✗ 1990
     http_reqs......................: 2000   498.1/s
     iteration_duration.............: avg=1ms min=1ms med=1ms max=30ms p(90)=2ms p(95)=3ms
"""
# With thresholds.
K6_MARKED = K6.replace("     http_req_", "   ✗ http_req_").replace("     http_reqs", "   ✓ http_reqs")
K6_NEW = K6.replace("✓ 10        ✗ 1990", "10 out of 2000")
_TREND = {"avg": 0.4005, "min": 0.0901, "med": 0.35, "max": 20.25, "p(90)": 0.6, "p(95)": 0.8}
K6_JSON = json.dumps(
    {
        "metrics": {
            "http_req_duration": _TREND,
            "http_reqs": {"count": 2000, "rate": 498.1},
            "http_req_failed": {"value": 0.005, "passes": 10, "fails": 1990},
        }
    }
)
K6_SUMMARY = json.dumps(
    {"metrics": {name: {"type": "x", "values": values} for name, values in json.loads(K6_JSON)["metrics"].items()}}
)
OHA = json.dumps(
    {
        "summary": {"successRate": 1.0, "total": 4.015, "slowest": 0.02025, "fastest": 0.0000901, "average": 0.0004005,
                    "requestsPerSec": 498.1, "sizePerSec": 5.5},
        "latencyPercentiles": {"p10": 0.0001, "p50": 0.00035, "p90": 0.0006, "p95": 0.0008, "p99": 0.0015},
        "statusCodeDistribution": {"200": 1990, "503": 10}, "errorDistribution": {},
    }
)  # fmt: skip
GHZ = json.dumps(
    {
        "endReason": "normal", "options": {"concurrency": 8, "connections": 2}, "count": 2000, "total": 4_015_000_000,
        "average": 400_500, "fastest": 90_100, "slowest": 20_250_000, "rps": 498.1,
        "statusCodeDistribution": {"OK": 1990, "Unavailable": 10},
        "latencyDistribution": [{"percentage": 50, "latency": 350_000}, {"percentage": 90, "latency": 600_000},
                                {"percentage": 95, "latency": 800_000}, {"percentage": 99, "latency": 1_500_000}],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vegeta", VEGETA), ("vegeta-json", VEGETA_JSON), ("k6", K6), ("k6", K6_NEW), ("k6-json", K6_JSON),
        ("k6", K6_MARKED), ("k6-json", K6_SUMMARY), ("oha-json", OHA), ("ghz-json", GHZ),
    ],
)  # fmt: skip
def test_load_generators_of_http(tmp_path: Path, name: str, text: str) -> None:
    """The same run as each of them would tell it: 10 of 2,000 answers were errors, which makes it suspect."""
    (tmp_path / "case.txt").write_text(text)
    files = gather(tmp_path)
    assert choose_format("auto", files).name == name
    reading = FORMATS[name].read(files, ImportOptions())
    (run,) = reading.runs
    assert [run.metrics[f"rtt_{part}_us"] for part in ("min", "mean", "p50", "p90", "p95", "max")] == pytest.approx(
        [90.1, 400.5, 350, 600, 800, 20_250]
    )
    assert run.metrics.get("rtt_p99_us", 1500) == pytest.approx(1500)
    assert (run.metrics["rate_rps"], run.metrics["requests"], run.metrics["errors"]) == (498.1, 2000, 10)
    assert run.metrics.get("elapsed_s", 4.005) == pytest.approx(4.005, abs=0.02)
    assert run.verdict == "suspect" and " of 2,000 requests" in run.reasons[0]
    assert not reading.findings


def test_requests_that_all_failed_make_a_run_that_failed(tmp_path: Path) -> None:
    """Refused connections: no program has a latency of them, or one of errors."""
    oha = json.loads(OHA)
    oha |= {"statusCodeDistribution": {}, "errorDistribution": {"refused": 200}, "latencyPercentiles": {"p50": None}}
    oha["summary"] |= dict.fromkeys(("slowest", "fastest", "average"))
    vegeta = json.loads(VEGETA_JSON) | {"status_codes": {"0": 2000}}
    hey = "Summary:\n  Total:\t1.0 secs\n  Slowest:\t0.0 secs\n  Requests/sec:\t100.0\n\nError distribution:\n"
    for text in (json.dumps(oha), json.dumps(vegeta), hey + "  [100]\tGet http://h/: connection refused\n"):
        (run,) = read_text(tmp_path, text)
        assert run.verdict == "failed" and run.reasons[0].endswith("; none had a good answer")
    half = hey + "  [100]\tGet http://h/: connection refused\nStatus code distribution:\n  [200]\t100 responses\n"
    assert read_text(tmp_path, half)[0].verdict == "suspect"
    # ab calls answers failed that are of another length than the first.
    text = text_of("ab.txt")
    lengths = "1990\n   (Connect: 0, Receive: 0, Length: 1990, Exceptions: 0)\n"
    (run,) = read_text(tmp_path, re.sub(r"(Failed requests: +)0\n", rf"\g<1>{lengths}", text))
    assert (run.verdict, run.metrics["errors"]) == ("valid", 0)


def test_quantiles_of_other_times_of_fio_are_none_of_its_completions(tmp_path: Path) -> None:
    text = text_of("fio-text.txt")
    for other in (
        "sync percentiles (usec)",
        "slat percentiles (nsec)",
        "clat prio 0/0 (100.00% of IOs) percentiles (usec)",
    ):
        more = re.sub(r"(?m)^( +lat \(\w+\) +: )", rf"    {other}:\n     | 50.00th=[ 7], 99.00th=[ 8]\n\1", text)
        assert more != text
        assert [run.metrics for run in read_text(tmp_path, more)] == [run.metrics for run in read_text(tmp_path, text)]


def test_grouped_thousands_of_perf_bench(tmp_path: Path) -> None:
    text = (
        "# Running 'syscall/basic' benchmark:\n# Executed 10,000,000 getppid() calls\n Total time: 1.020 [sec]\n\n"
        "       0.102000 usecs/op\n      9,803,921 ops/sec\n# Running 'sched/pipe' benchmark:\n  250,000 ops/sec\n"
    )
    first, second = read_text(tmp_path, text)
    assert (first.metrics["requests"], first.metrics["rate_rps"]) == (10_000_000, 9_803_921)
    assert second.metrics["rate_rps"] == 250_000


def test_what_pgbench_left_undone_is_doubted(tmp_path: Path) -> None:
    text = text_of("pgbench.txt")
    skipped = text.replace("latency average", "number of transactions skipped: 500 (1.6%)\nlatency average")
    for more in (skipped, text + "pgbench: error: Run was aborted; the above results are incomplete.\n"):
        assert read_text(tmp_path, more)[0].verdict == "suspect"
    version = r"(?m)^pgbench \(\d+\.\d+"
    both = [
        run.environment["program_version"] for run in read_text(tmp_path, text + re.sub(version, "pgbench (9.9", text))
    ]
    assert len(both) == 2 and both[0] != both[1] == "pgbench 9.9"


def test_each_histogram_of_cyclictest_is_a_run(tmp_path: Path) -> None:
    text = text_of("cyclictest-text_histogram.txt")
    runs = read_text(tmp_path, text + text)
    assert len(runs) == 2 and runs[0].metrics == runs[1].metrics == one("cyclictest-text_histogram.txt")
