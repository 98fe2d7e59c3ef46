"""Whose column is what: headers as people publish them, each of which compares to the ratio that its rows have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.tables import group_cells, load_runs, load_source
from harness.tables.reading.account import Reading
from harness.tables.reading.table import read
from tests import command

RUNS = 6
LEVELS = {"base": 50.0, "poll": 16.0}
Row = Callable[[str, int, float], str]


def table(path: Path, header: str, row: Row, factor: float = 1.0, runs: int = RUNS) -> Path:
    """A table of two cases, the second three times as fast; `row` words one run from case, number and latency."""
    draw = np.random.default_rng(len(header) + round(100 * factor))
    rows = [
        row(case, at, factor * level * draw.normal(1, 0.01)) for case, level in LEVELS.items() for at in range(runs)
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def pair(tmp_path: Path, header: str, row: Row, runs: int = RUNS) -> tuple[Path, Path]:
    return table(tmp_path / "a.csv", header, row, runs=runs), table(tmp_path / "b.csv", header, row, 1.2, runs)


def comma(text: float) -> str:
    return f"{text:.2f}".replace(".", ",")


# What people publish: the header, a row, and the metric that it has to be found as.
PUBLISHED: dict[str, tuple[str, Row, str]] = {
    "bare quantiles": ("config,p50,p99", lambda c, i, m: f"{c},{m},{3 * m}", "latency_p99"),
    "units in names": ("name,mean_us,p99_us,qps", lambda c, i, m: f"{c},{m},{3 * m},{1e6 / m}", "rtt_p99_us"),
    "semicolons": ("benchmark;p99 (us)", lambda c, i, m: f"{c};{comma(m)}", "rtt_p99_us"),
    "tabs": ("variant\tlatency_us_p99", lambda c, i, m: f"{c}\t{m}", "rtt_p99_us"),
    "bars": ("variant|p99 [us]", lambda c, i, m: f"{c}|{m}", "rtt_p99_us"),
    "blanks": ("variant p99_us", lambda c, i, m: f"{c}    {m}", "rtt_p99_us"),
    "comments": ("# by hand\n\ntest,run,lat_p999", lambda c, i, m: f"{c},{i + 1},{m}", "latency_p99_9"),
    "header in a comment": ("# config,p50_us", lambda c, i, m: f"{c},{m}", "rtt_p50_us"),
    "an index": (",config,p50_ms", lambda c, i, m: f"{i},{c},{m / 1000}", "rtt_p50_us"),
    "an index by name": ("Unnamed: 0,case,latency", lambda c, i, m: f"{i},{c},{m:.3f}us", "latency_us"),
    "units of several sizes": (
        "mode,p99",
        lambda c, i, m: f"{c},{f'{m / 1000} ms' if i % 2 else f'{m} us'}",
        "rtt_p99_us",
    ),
    "thousands": ("mode,throughput (req/s)", lambda c, i, m: f'{c},"{1e8 * m:,.1f}"', "rate_rps"),
    "long": ("scenario,metric,value,unit", lambda c, i, m: f"{c},p50,{m},us\n{c},p99,{3 * m},us", "rtt_p99_us"),
    "percentiles": (
        "percentile,latency_ms,config",
        lambda c, i, m: f"50,{m / 1000},{c}\n99.9,{m / 100},{c}",
        "rtt_p99_9_us",
    ),
    "repetitions side by side": (
        "Config,Run 1,Run 2,Run 3,Run 4",
        lambda c, i, m: f"{c},{m},{m * 1.01},{m * 0.99},{m}",
        "value",
    ),
    "words": ("system,Median Latency (microseconds)", lambda c, i, m: f"{c},{m}", "rtt_p50_us"),
    "no known word": ("flavour,score", lambda c, i, m: f"{c},{m}", "score"),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_header_that_people_publish_is_compared_right(tmp_path: Path, kind: str) -> None:
    header, row, metric = PUBLISHED[kind]
    one, other = pair(tmp_path, header, row)
    done = command.call("compare", one, other, "--json")
    assert done.returncode == 0, done.stderr
    rows = [item for item in json.loads(done.stdout)["rows"] if item["metric"] == metric]
    assert [item["case"] for item in rows] == ["base", "poll"]
    assert [item["ratio"] for item in rows] == [pytest.approx(1.2, rel=0.03)] * 2
    medians = {"latency_p99": 150, "rtt_p99_9_us": 500, "rate_rps": 5e9}
    median = 150 if kind in ("units in names", "long") else medians.get(metric, 50)
    assert rows[0]["base"]["median"] == pytest.approx(median, rel=0.03)


def reading_of(tmp_path: Path, text: str) -> Reading:
    path = tmp_path / "one.csv"
    path.write_text(text)
    return read(path)[1]


def roles(reading: Reading) -> dict[str, str]:
    return {column.name: column.role for column in reading.columns}


def rows_of(*columns: Sequence[object]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


FIGURES = [40.1, 41.2, 39.3, 40.4, 16.5, 16.6, 15.7, 16.8]


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("busy_poll_us", [0] * 4 + [50] * 4, "factor"),
        ("busy_poll_us", [50] * 8, "factor"),
        ("busy_poll_us", [50.3, 49.8, 50.1, 51.7, 47.6, 48.9, 50.4, 50.7], "metric"),
        ("rx-usecs", [3] * 4 + [50] * 4, "factor"),
        ("gro_flush_timeout_ns", [0] * 4 + [20000] * 4, "factor"),
        ("nthreads", [1] * 4 + [4] * 4, "factor"),
        ("size", [64] * 4 + [1400] * 4, "factor"),
        ("size", ["64B"] * 4 + ["1400B"] * 4, "factor"),
        ("qps", [1000] * 4 + [20000] * 4, "factor"),
        ("qps", [1013, 998, 1002, 1040, 2011, 2005, 1999, 2000], "metric"),
        ("load", ["0%"] * 4 + ["50%"] * 4, "factor"),
        ("busy", ["on"] * 4 + ["off"] * 4, "factor"),
        ("wait_us", [1, 1, 2, 2, 3, 3, 1, 2], "metric"),
        ("errors", [0, 0, 0, 0, 5, 5, 5, 5], "metric"),
        ("p95", [40, 40, 40, 40, 50, 50, 50, 50], "metric"),
        ("run", [1, 2, 3, 4] * 2, "repetition"),
        ("iteration", ["r1", "r2", "r3", "r4"] * 2, "repetition"),
        ("Durchlauf", [1, 2, 3, 4] * 2, "repetition"),
        ("Répétition", [1, 2, 3, 4] * 2, "repetition"),
        ("débit (req/s)", [1013, 998, 1002, 1040, 2011, 2005, 1999, 2000], "metric"),
        ("uuid", ["a", "b", "c", "d"] * 2, "run"),
        ("run id", ["a", "b", "c", "d"] * 2, "run"),
        ("sample", [1, 2, 3, 4] * 2, "repetition"),
        ("block", [1, 2, 3, 4] * 2, "block"),
        ("timestamp", [f"2026-01-01T00:0{at}:00Z" for at in range(8)], "time"),
        ("date", [f"2026-01-0{at + 1}" for at in range(8)], "time"),
        ("ts", [1_760_000_000 + 60 * at for at in range(8)], "time"),
        ("hostname", ["n1", "n2"] * 4, "fact"),
        ("commit", ["deadbeef"] * 8, "constant"),
        ("duration_s", [10] * 8, "constant"),
        ("comment", [f"run {at}" for at in range(8)], "ignored"),
        ("uuid", [f"{at}f{at}" for at in range(8)], "run"),
        ("seq", list(range(8)), "ignored"),
        ("", list(range(8)), "ignored"),
        ("index", list(range(8)), "ignored"),
        ("empty", [""] * 8, "ignored"),
    ],
)
def test_what_a_column_is_by_its_name_and_values(tmp_path: Path, name: str, values: list[object], role: str) -> None:
    text = f"{name},config,p50\n" + rows_of(values, ["base", "poll"] * 4, list(FIGURES))
    assert roles(reading_of(tmp_path, text)) == {name: role, "config": "case", "p50": "metric"}


TOOLS: dict[str, tuple[str, dict[str, object]]] = {
    "google benchmark": (
        "name,iterations,real_time,cpu_time,time_unit\nBM_a,1000,52.5,52,ns\nBM_b,1001,0.25,0.24,us\n",
        {"case": "BM_a", "real_time_us": 0.0525},
    ),
    "locust": (
        "Type,Name,Request Count,Average Response Time,Requests/s,50%,99.9%,100%\n"
        "GET,/a,9,13.5,99,12,60,90\nGET,/b,9,14,98,13,61,91\n",
        {"case": "/a", "latency_mean": 13.5, "rate_rps": 99, "latency_p50": 12, "latency_p99_9": 60, "latency_max": 90},
    ),
    "hyperfine": (
        "command,mean,stddev,median\nsleep 1,1.25,0.5,1\nsleep 2,2,0.5,2\n",
        {"case": "sleep 1", "latency_p50": 1},
    ),
    "ab": ("Percentage served,Time in ms\n0,9\n50,15\n99,20.5\n", {"rtt_p50_us": 15_000, "rtt_p99_us": 20_500}),
    "HdrHistogram": (
        '"Value","Percentile","TotalCount","1/(1-Percentile)"\n9,0.0,1,1\n15,0.5,50,2\n30.5,0.99,99,100\n',
        {"latency_p50": 15, "latency_p99": 30.5},
    ),
    "mutilate": (
        "#type   avg  95th  99th\nread 120.5 150 170\nupdate 12 15 17\n",
        {"case": "read", "latency_p99": 170},
    ),
    "redis-benchmark": (
        '"test","rps","p99_latency_ms"\n"PING","1000.5","0.5"\n"SET","900","0.25"\n',
        {"case": "PING", "rate_rps": 1000.5, "rtt_p99_us": 500},
    ),
    "netperf": (
        "Socket Type,Transaction Rate Tran/s,99th Percentile Latency Microseconds\nTCP,200.5,80\nUDP,210,79\n",
        {"case": "TCP", "rate_rps": 200.5, "rtt_p99_us": 80},
    ),
    "pgbench": ("clients,tps,latency_avg_ms\n1,1000.5,1\n8,5000.5,1.5\n", {"clients": "1", "rtt_mean_us": 1000}),
    "kernel mail": (
        "napi_defer_hard_irqs,gro_flush_timeout,run,qps,avglat,99%lat\n0,0,1,1002,30,50\n0,0,2,1001,31,51\n"
        "100,20000,1,1003,32,55\n100,20000,2,1009,33,56\n",
        {"napi_defer_hard_irqs": "0", "gro_flush_timeout": "0", "latency_mean": 30, "latency_p99": 50},
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_tools_write(tmp_path: Path, tool: str) -> None:
    text, expected = TOOLS[tool]
    path = tmp_path / "one.csv"
    path.write_text(text)
    runs = load_runs(path)
    assert {name: runs[name][0] for name in expected} == expected


def test_a_log_of_requests_with_what_surrounds_them(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    header = "timeStamp,elapsed,label,responseCode,threadName,success,URL,Latency,IdleTime,Connect\n"
    path.write_text(
        header
        + rows_of(
            [1_760_000_000_000 + at for at in range(300)], [40 + at % 9 for at in range(300)], ["GET"] * 300,
            [200] * 300, [f"Group 1-{at % 5}" for at in range(300)], ["true"] * 299 + ["false"], ["http://x/"] * 300,
            [30 + at % 7 for at in range(300)], [0] * 300, [at % 2 for at in range(300)],
        )
    )  # fmt: skip
    table, reading = read(path)
    runs = table.frame()
    assert (len(runs), runs["rtt_p50_us"][0], runs["requests"][0]) == (1, 44_000, 299)  # elapsed, not the first byte's
    assert [one.name for one in reading.of("factor")] == []


def test_a_status_says_which_rows_count(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("config,status,p50_us\n" + rows_of(["a"] * 3, ["ok", "FAILED", "ok"], [1.5, 900, 2.5]))
    runs = load_runs(path)
    assert runs["verdict"].tolist() == ["valid", "failed", "valid"]


def test_versions_are_texts_and_never_pooled(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("version,p50_us\n" + rows_of(["6.1", "6.10"] * 4, list(FIGURES)))
    assert load_runs(path)["case"].unique().tolist() == ["6.1", "6.10"]


def test_a_run_id_that_names_the_campaign_drops_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("run_id,config,p50_us\n" + rows_of(["c1"] * 8, ["a", "b"] * 4, FIGURES))
    source = load_source(path)
    assert len(source.runs) == 8
    assert source.warnings == (
        "in one.csv, run_id has one value in rows that differ: it names no single run, and every row counts",
    )


def test_what_a_known_column_declares_is_not_pooled_either(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("case,workload_rate_rps,rtt_p50_us\n" + rows_of(["a"] * 8, [1000] * 4 + [9000] * 4, FIGURES))
    rates = {cell.factors for cell in group_cells(read(path)[0])}
    assert rates == {(("workload_rate_rps", "1000"),), (("workload_rate_rps", "9000"),)}


def test_two_columns_of_one_meaning_stay_two(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("config,p99_us,latency_p99_us\n" + rows_of(["a", "b"] * 4, list(FIGURES), list(FIGURES)))
    runs = load_runs(path)
    assert {"rtt_p99_us", "latency_p99_us"} <= set(runs.columns)


def test_a_mean_beside_quantiles_is_a_latency_and_alone_it_is_anything(tmp_path: Path) -> None:
    text = "config,mean,p50\n" + rows_of(["a", "b"] * 4, list(FIGURES), list(FIGURES))
    assert reading_of(tmp_path, text).here["mean"] == "latency_mean"
    assert reading_of(tmp_path, text.replace("p50", "score")).here["mean"] == "mean"


def test_our_own_tables_print_nothing_new(tmp_path: Path) -> None:
    from harness.report.reading import lines

    own = read(Path(__file__).parents[2] / "results" / "reference" / "quickstart" / "runs.csv")[1]
    assert own.plain and lines([own]) == []


@pytest.mark.parametrize("metric", ["p99", "rtt_p99_us", "p99_us", "latency p99 (us)"])
def test_a_metric_is_called_as_in_the_file_as_here_or_by_its_meaning(tmp_path: Path, metric: str) -> None:
    one, other = pair(tmp_path, "name,p50_us,p99_us", lambda c, i, m: f"{c},{m},{3 * m}")
    done = command.call("compare", one, other, "--json", "--metric", metric)
    assert [item["name"] for item in json.loads(done.stdout)["metrics"]] == ["rtt_p99_us"]
    gate = command.call("compare", one, other, "--fail-if", f"{metric.replace(' ', '_')} > +5%")
    assert (gate.returncode, "FAILED (2 failed)" in gate.stderr) == (6, True), gate.stderr


@pytest.mark.parametrize("setting", [("0", "50"), ("0.0", "50.0")])
@pytest.mark.parametrize("typed", ["0", "0.0"])
def test_a_setting_is_the_baseline_in_any_spelling_of_its_number(
    tmp_path: Path, setting: tuple[str, str], typed: str
) -> None:
    path = table(tmp_path / "a.csv", "busy_poll_us,p99_us", lambda c, i, m: f"{setting[c != 'base']},{m}")
    done = command.call("compare", path, "--baseline", f"busy_poll_us={typed}", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["case"], row["ratio"]) == ("50", pytest.approx(0.32, rel=0.03)), done.stderr


def test_numbers_of_two_files_match_whatever_pandas_made_of_them(tmp_path: Path) -> None:
    one = table(tmp_path / "a.csv", "config,depth,p99_us", lambda c, i, m: f"{c},{1 + i % 2},{m}", runs=12)
    other = table(tmp_path / "b.csv", "config,depth,p99_us", lambda c, i, m: f"{c},{1.0 + i % 2},{m}", runs=12)
    done = command.call("compare", one, other, "--json")
    assert [(row["factors"], row["base"]["n"], row["test"]["n"]) for row in json.loads(done.stdout)["rows"]] == [
        ({"depth": depth}, 6, 6) for depth in ("1", "2", "1", "2")
    ]


def test_what_one_file_sweeps_is_a_factor_of_the_other_that_holds_it(tmp_path: Path) -> None:
    one = table(tmp_path / "a.csv", "config,compiler,p99_us", lambda c, i, m: f"{c},{'xy'[i % 2]},{m}", runs=12)
    other = table(tmp_path / "b.csv", "config,compiler,p99_us", lambda c, i, m: f"{c},x,{m}", 1.2)
    done = command.call("compare", one, other, "--json")
    both = [row for row in json.loads(done.stdout)["rows"] if row["ratio"]]
    assert [row["factors"] for row in both] == [{"compiler": "x"}] * 2, done.stderr
