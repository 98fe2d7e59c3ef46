"""Kinds of CSV that other programs write, by look-alikes: what each row and column is, and the figures of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.tables.reading.account import Reading
from harness.tables.reading.table import read

Reader = Callable[[str], tuple[pd.DataFrame, Reading]]
ROWS = [("a", 90.5), ("b", 40.25), ("a", 91.5), ("b", 41.25)]
PSQL = " case | p99_us \n------+--------\n" + "".join(f" {c}    | {v:6.2f}\n" for c, v in ROWS) + "(4 rows)\n\n"
MYSQL = (
    "+------+--------+\n| case | p99_us |\n+------+--------+\n"
    + "".join(f"| {c}    | {v:6.2f} |\n" for c, v in ROWS)
    + "+------+--------+\n4 rows in set (0.00 sec)\n"
)
DUCKDB = (
    "┌─────────┬────────┐\n│  case   │ p99_us │\n│ varchar │ double │\n├─────────┼────────┤\n"
    + "".join(f"│ {c}       │ {v:6.2f} │\n" for c, v in ROWS)
    + "└─────────┴────────┘\n"
)
POLARS = (
    "shape: (4, 2)\n┌──────┬────────┐\n│ case ┆ p99_us │\n│ ---  ┆ ---    │\n│ str  ┆ f64    │\n╞══════╪════════╡\n"
    + "".join(f"│ {c}    ┆ {v:6.2f} │\n" for c, v in ROWS)
    + "└──────┴────────┘\n"
)
GRID = "+------+--------+\n| case | p99_us |\n+======+========+\n" + "".join(
    f"| {c}    | {v:6.2f} |\n+------+--------+\n" for c, v in ROWS
)


@pytest.fixture
def table(tmp_path: Path) -> Reader:
    def reader(text: str) -> tuple[pd.DataFrame, Reading]:
        path = tmp_path / "a.csv"
        path.write_text(text)
        runs, reading = read(path)
        return runs.frame(), reading

    return reader


@pytest.mark.parametrize("text", [PSQL, MYSQL, DUCKDB, POLARS, GRID])
def test_tables_that_databases_and_frames_print(table: Reader, text: str) -> None:
    runs, _ = table(text)
    assert list(zip(runs["case"], runs["rtt_p99_us"], strict=True)) == ROWS


def test_a_log_of_pgbench_has_its_latency_in_time_and_no_other(table: Reader) -> None:
    rows = "".join(
        f"0,{at},{800 + at % 7},0,{1_700_000_000 + at // 100},{at * 9000 % 1_000_000}\n" for at in range(300)
    )
    runs, reading = table("client_id,transaction_no,time,script_no,time_epoch,time_us\n" + rows)
    assert (len(runs), runs["requests"][0], runs["latency_p50"][0]) == (1, 300, 803)
    assert "it is part of a time" in {column.guess for column in reading.columns if column.name == "time_us"}


def test_figures_with_times_of_their_own_are_single_requests(table: Reader) -> None:
    """As k6 writes them: a row for each metric of each request, in ms, and some of no request."""
    rows = "".join(
        f"http_reqs,{1_700_000_000 + at},1.0,GET\nhttp_req_duration,{1_700_000_000 + at},{12 + at / 100},GET\n"
        f"http_req_waiting,{1_700_000_000 + at},{11 + at / 100},GET\nvus,{1_700_000_000 + at},4,\n"
        for at in range(60)
    )
    runs, reading = table("metric_name,timestamp,metric_value,method\n" + rows)
    assert (len(runs), runs["requests"][0]) == (1, 60)
    assert runs["rtt_max_us"][0] == pytest.approx(12_590)
    assert "a row a request" in reading.notes


def test_the_last_level_of_a_distribution_is_its_maximum(table: Reader) -> None:
    runs, _ = table(
        "Value,Percentile,TotalCount,1/(1-Percentile)\n100.5,0.5,5,2.0\n300.5,0.99,9,100\n500.5,1.0,10,inf\n"
    )
    assert {name: runs[name][0] for name in ("latency_p50", "latency_p99", "latency_max")} == {
        "latency_p50": 100.5,
        "latency_p99": 300.5,
        "latency_max": 500.5,
    }


def test_quantiles_of_groups_as_pandas_has_them(table: Reader) -> None:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"case": ["a"] * 50 + ["b"] * 50, "lat_us": draw.normal(100, 5, 100)})
    levels = frame.groupby("case")["lat_us"].quantile(np.array([0.5, 0.9, 0.99]))
    runs, _ = table(levels.to_csv())
    for case in ("a", "b"):
        row = runs[runs["case"] == case].iloc[0]
        assert [row["rtt_p50_us"], row["rtt_p90_us"], row["rtt_p99_us"]] == pytest.approx(list(levels[case]))


def test_the_name_of_an_index_is_not_joined_with_that_of_the_levels(table: Reader) -> None:
    frame = pd.DataFrame({"case": ["a", "b"] * 3, "run": [1, 1, 2, 2, 3, 3], "lat_us": range(6), "qps": range(9, 15)})
    runs, reading = table(frame.pivot(index="run", columns="case", values=["lat_us", "qps"]).to_csv())
    assert [column.name for column in reading.columns if column.role == "repetition"] == ["run"]
    assert len(runs) == 3 and not any("run" in column.name for column in reading.of("metric"))


def test_rates_in_cells_are_read_where_the_column_is_one_and_a_links_speed_stays_a_factor(table: Reader) -> None:
    rows = "".join(
        f"{case},{speed}Gbps,{9.25 + at / 8} Gbit/s,{at + 90}\n"
        for case in "ab"
        for speed in (10, 25)
        for at in range(3)
    )
    runs, reading = table("config,link,bandwidth,p99_us\n" + rows)
    assert sorted(runs["throughput_bps"].unique()) == pytest.approx([9.25e9, 9.375e9, 9.5e9])
    assert [column.name for column in reading.of("factor")] == ["link"]


def test_titles_of_load_generators(table: Reader) -> None:
    """JMeter's quantiles, autocannon's low one, memtier's mark of no value."""
    runs, _ = table("Label,Average,90% Line,99% Line,Hits/sec\nx,45.5,60,120,---\ny,85.5,100,220,1.5\n")
    assert list(runs["latency_p90"]) == [60, 100] and list(runs["latency_p99"]) == [120, 220]
    runs, _ = table("Stat,2.5%,50%,97.5%\nLatency,1 ms,2 ms,3 ms\n")
    assert [runs[name][0] for name in ("rtt_p2_5_us", "rtt_p50_us", "rtt_p97_5_us")] == [1000, 2000, 3000]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("exit_code", "0", "124"),
        ("rc", "0", "-9"),
        ("http_status", "200", "503"),
        ("http_code", "200", "000"),
        ("success", "1", "0"),
        ("valid", "Y", "n"),
        ("outcome", "ok", "crashed"),
        ("failed", "False", "True"),
        ("error", "", "connection reset"),
        ("error", "none", "Timeout after 5 s"),
    ],
)
def test_rows_that_say_they_failed_do_not_count(table: Reader, name: str, good: str, bad: str) -> None:
    rows = "".join(f"{case},{value},{bad if value < 2 else good}\n" for case, value in [*ROWS, ("a", 1.25), ("b", 1.5)])
    runs, reading = table(f"case,p99_us,{name}\n{rows}")
    assert runs["verdict"].tolist() == ["valid"] * 4 + ["failed"] * 2
    assert [column.name for column in reading.of("metric")] == ["p99_us"]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("exit_code", ["0"] * 4),  # nothing failed: nothing is told
        ("error", ["±0.5", "±0.6", "±0.7", "±0.8"]),
        ("failed", ["0", "3", "1", "2"]),  # how many requests
        ("success_rate", ["1", "0", "1", "0"]),
        ("rc", ["0", "1.5", "300", "0"]),
    ],
)
def test_what_tells_of_no_failure_makes_no_verdict(table: Reader, name: str, cells: list[str]) -> None:
    rows = "".join(f"{case},{value},{cell}\n" for (case, value), cell in zip(ROWS, cells, strict=True))
    assert "verdict" not in table(f"case,p99_us,{name}\n{rows}")[0]


def test_a_mean_below_repetitions_is_no_run(table: Reader) -> None:
    rows = "".join(f"{case},{at // 2},{value}\n" for at, (case, value) in enumerate(ROWS))
    runs, reading = table(f"case,run,p99_us\n{rows}a,avg,91\nb,avg,40.75\n")
    assert list(zip(runs["case"], runs["rtt_p99_us"], strict=True)) == ROWS
    assert any("avg" in note for note in reading.notes)


def test_a_file_that_holds_its_rows_twice_has_every_run_once(table: Reader) -> None:
    rows = "".join(f"{case},{at // 2},{value}\n" for at, (case, value) in enumerate(ROWS))
    runs, reading = table(f"case,run,p99_us\n{rows}{rows}")
    assert list(zip(runs["case"], runs["rtt_p99_us"], strict=True)) == ROWS
    assert reading.warnings == ("4 rows are in the table twice: each run counts once",)
    # Without a number nothing says that equal figures are of one run, and with other figures they are not.
    assert len(table("case,p99_us\n" + "".join(f"{case},{value}\n" for case, value in ROWS * 2))[0]) == 8
    assert len(table(f"case,run,p99_us\n{rows}{rows.replace('90.5', '90.6')}")[0]) == 8


def test_no_latency_is_below_nought(table: Reader) -> None:
    runs, reading = table("case,rtt_us\n" + "".join(f"{case},{value}\n" for case, value in [*ROWS, ("b", -1)]))
    assert np.isnan(runs["rtt_us"].iloc[-1])
    assert reading.warnings == ("column rtt_us: what is below 0 is no latency and left out (1 of 5 rows)",)
    assert table("case,oneway_us,p99_us\na,-3,4\nb,-2,5\n")[0]["oneway_us"].tolist() == [-3, -2]
