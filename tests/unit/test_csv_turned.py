"""Tables whose cases stand side by side, cells of people's own, and what well-known programs write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import InputError
from harness.tables.reading.account import Mapping, Reading
from harness.tables.reading.table import read

Reader = Callable[[str], tuple[pd.DataFrame, Reading]]


@pytest.fixture
def table(tmp_path: Path) -> Reader:
    def reader(text: str) -> tuple[pd.DataFrame, Reading]:
        (tmp_path / "a.csv").write_text(text)
        runs, reading = read(tmp_path / "a.csv")
        return runs.frame(), reading

    return reader


SIDE_BY_SIDE = {
    "metrics as rows": "metric,base,busy poll 50\np50_us,54.9,8.4\np99_us,82.3,10.9\nqps,17166,113808\n",
    "pandas' corner": ",base,busy poll 50\np50 (us),54.9,8.4\np99 (us),82.3,10.9\nthroughput (req/s),17166,113808\n",
    "a column of units": "Metric,Unit,base,busy poll 50\np50,us,54.9,8.4\np99,us,82.3,10.9\nRate,req/s,17166,113808\n",
    "units in cells": "Figure;base;busy poll 50\np50;54,9 us;8,4 us\np99;82,3 us;10,9 us\nqps;17200;113800\n",
    "levels": "percentile,base (us),busy poll 50 (us)\n50,54.9,8.4\n99,82.3,10.9\n99.9,120,38\n",
    "what follows": "metric,base,busy poll 50,ratio,Change\np50_us,54.9,8.4,0.2,-85%\np99_us,82.3,10.9,1,2%\n",
    "what sums up": "metric,base,busy poll 50,average\np50_us,54.9,8.4,31\np99_us,82.3,10.9,46\n",
    "a corner that says what": "Latency (us),base,busy poll 50\nmedian,54.9,8.4\np99,82.3,10.9\nmax,100,40\n",
}


def test_what_sums_up_one_case_is_none_beside_it(table: Reader) -> None:
    runs, reading = table("metric,unit,base,total\np50,us,54.9,54.9\np99,us,82.3,82.3\n")
    assert runs["case"].tolist() == ["base"]
    assert "its columns are cases, without total and its rows figures" in reading.notes


@pytest.mark.parametrize("kind", SIDE_BY_SIDE)
def test_cases_across_and_figures_down(table: Reader, kind: str) -> None:
    runs, reading = table(SIDE_BY_SIDE[kind])
    assert runs["case"].tolist() == ["base", "busy poll 50"]
    assert runs["rtt_p50_us"].tolist() == [54.9, 8.4] and runs["rtt_p99_us"].tolist() == [82.3, 10.9]
    without = {"what follows": ", without ratio, Change", "what sums up": ", without average"}.get(kind, "")
    assert f"its columns are cases{without} and its rows figures" in reading.notes


def test_a_rate_whose_unit_is_in_a_column_of_its_own(table: Reader) -> None:
    runs, reading = table("metric;unit;A;B;mittel\np50;us;54,9;8,4;31\nqps;1/s;17166;113808;65000\n")
    assert runs["rate_rps"].tolist() == [17_166, 113_808] and runs["case"].tolist() == ["A", "B"]
    assert "its columns are cases, without mittel and its rows figures" in reading.notes


def test_kernels_are_the_cases_where_nothing_else_is(table: Reader) -> None:
    runs, _ = table("kernel,run,p99_us\n6.1,1,50\n6.1,2,51\n6.10,1,40\n6.10,2,41\n")
    assert runs["case"].tolist() == ["6.1", "6.1", "6.10", "6.10"]
    assert table("kernel,case,p99_us\n6.1,a,50\n6.12,a,51\n")[0]["case"].tolist() == ["a", "a"]


def test_a_column_that_the_user_names_is_one_of_the_table_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SIDE_BY_SIDE["metrics as rows"])
    runs, _ = read(tmp_path / "a.csv", Mapping(case="metric"))
    assert runs.texts("case").distinct() == ["p50_us", "p99_us", "qps"]


def test_a_figure_in_the_corner_and_runs_down(table: Reader) -> None:
    runs, reading = table("p99 (us),base,busypoll\nrun1,54.9,8.42\nrun2,55.1,8.40\nrun3,54.3,8.51\nmean,54.8,8.44\n")
    assert runs.groupby("case")["rtt_p99_us"].apply(list).to_dict() == {
        "base": [54.9, 55.1, 54.3],
        "busypoll": [8.42, 8.40, 8.51],
    }
    assert [column.name for column in reading.of("repetition")] == ["run"]
    rates, _ = table("qps,base,busypoll\nrun1,17100,113000\nrun2,17200,113500\n")
    assert rates["case"].tolist() == ["base", "busypoll"] * 2
    assert rates["rate_rps"].tolist() == [17_100, 113_000, 17_200, 113_500]
    # Nothing says what was measured, but the columns bear the names of cases.
    bare, reading = table("Run,base,poll\n1,54.9,8.42\n2,55.1,8.40\n")
    assert bare.groupby("case")["value"].apply(list).to_dict() == {"base": [54.9, 55.1], "poll": [8.42, 8.40]}
    assert "its columns are cases and its rows runs of a figure that it does not name" in reading.notes


def test_cases_beside_the_settings_that_they_were_measured_at(table: Reader) -> None:
    runs, reading = table(
        "threads,run,base,busypoll,diff\n1,1,54.9,8.42,46\n1,2,55.1,8.40,47\n2,1,70,12,58\n2,2,71,12.1,59\n"
    )
    assert runs["case"].tolist() == ["base", "busypoll"] * 4
    assert runs["threads"].astype(int).tolist() == [1] * 4 + [2] * 4
    assert runs["value"].tolist() == [54.9, 8.42, 55.1, 8.40, 70, 12, 71, 12.1]
    assert [column.name for column in reading.of("repetition")] == ["run"]
    units, _ = table("threads,before (us),after (us)\n1,54.9,8.42\n1,55.1,8.40\n2,70,12\n2,71,12.1\n")
    assert units["case"].tolist() == ["before", "after"] * 4


@pytest.mark.parametrize(
    "text",
    [
        "benchmark,score,rank\nmin_heap,5,4\nmax_heap,9,2\n",
        "config,p50_us,p99_us\nmean,5,4\nmax,9,2\n",
        "run,cpu,mem\n1,54.9,8.42\n2,55.1,8.40\n",
        "run,cpu_poll,mem\n1,54.9,8.42\n2,55.1,8.40\n",
        "threads,off,poll\n1,54.9,8.42\n2,55.1,8.40\n",
        "threads,base,size\n1,54.9,64\n2,55.1,128\n",
        "threads,base,remark\n1,54.9,quiet\n2,55.1,warm\n",
        "p99 (us),base,busypoll\n64,54.9,8.42\n128,55.1,8.40\n",
        "run,size,off,on\n1,64,54.9,8.42\n2,128,55.1,8.40\n",
        "run,cpu,off,on\n1,0,54.9,8.42\n2,1,55.1,8.40\n",
        "latency_us,base,patched\n0,0,5\n1,20,300\n2,400,10\n",
        "metric,value\np50_us,5\np99_us,9\n",
        "metric,run1,run2\np50_us,5,6\np99_us,9,10\n",
    ],
)
def test_what_is_no_such_table_stays_as_it_is(table: Reader, text: str) -> None:
    _, reading = table(text)
    assert not any("its columns are cases" in note for note in reading.notes)


def test_thousands_and_millions_by_their_letters(table: Reader) -> None:
    runs, reading = table("case,qps,size,drops\na,12.4k,64,2K\na,12.5k,64K,1k\nb,1.2M,64,1M\nb,900,64K,0\n")
    assert runs["rate_rps"].tolist() == pytest.approx([12_400, 12_500, 1_200_000, 900])
    assert runs["size"].tolist() == ["64", "64K"] * 2 and runs["drops"].tolist() == [2000, 1000, 1_000_000, 0]
    assert "k, M and G in qps are thousands, millions and billions" in reading.notes
    assert table("config,p99_us\n1k,5\n4k,6\n")[0]["case"].tolist() == ["1k", "4k"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Linux 6.1.0 (box) \t11/30/2026 \t_x86_64_\n\n12:00 AM IFACE rxpck/s\n", "`sadf -d FILE"),
        ("procs ---memory--\n r  b\n 1  0\n", "vmstat's text, an interval a row; write a row a run"),
        ("goos: linux\nBenchmarkEcho-8  100  12 ns/op\n", "`benchstat -format csv FILE`"),
        ("NIC statistics:\n     rx_packets: 12\n", "no run; write what runs added to it"),
        ("123,,cycles,100,100.00,,\n", "perf stat.*a column for each event"),
        ("metric,base,poll\np50_us,54.9,fast\np99_us,80,9\n", "a.csv:1: read a runs table: p50_us is 'fast'"),
        ("case,bytes,p99_us\na,64,5\nb,1k,6\n", "whether that is by 1000 or by 1024; write the bytes out"),
        ("case,bandwidth_gbps\na,9.4G\nb,9.1G\n", "of its own; write the numbers without letters"),
        ("case,p99_us,Transfer/sec\na,5,10.2MB\n", r"or `ignore: \[Transfer/sec\]` in a.csv.yaml"),
        ("case,run,10000,20000\na,1,5,6\n", "values of something, 10000 the first of them.*melt"),
        (pd.DataFrame({"p99_us": [1.0, 2, 4]}).describe().to_csv(), "statistics of a table, as pandas' describe"),
        (",old,,new,,,\n,sec/op,CI,sec/op,CI,vs base,P\nE,1e-6,1%,2e-6,1%,+100%,p=0\n", "benchstat made"),
        ("group,sample_measured_value,unit,iteration_count\na,5,ns,10\na,9,ns,20\n", "time of iteration_count iter"),
    ],
)
def test_what_nothing_tells_is_refused_with_what_to_do(table: Reader, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(text)


def test_times_of_day_are_the_order_of_runs_and_no_factor(table: Reader) -> None:
    rows = "".join(f"12:{31 + at}:05,{case},{50 + at}\n" for at in range(6) for case in "ab")
    runs, reading = table("time,case,p99_us\n" + rows)
    assert not reading.of("factor") and runs["order"].tolist() == [at // 2 for at in range(12)]
    # Over midnight, or out of turn, they tell no order without a date.
    _, reading = table("start,case,p99_us\n11:59 PM,a,5\n00:01 AM,b,6\n00:02 AM,a,5\n")
    assert [column.name for column in reading.of("ignored")] == ["start"]


def test_spans_of_time_are_seconds(table: Reader) -> None:
    runs, _ = table("case,latency\na,0 days 00:00:00.000125\nb,00:00:01.5\n")
    assert runs["latency_us"].tolist() == pytest.approx([125, 1.5e6])


def test_how_long_runs_were_is_no_figure_where_all_were_as_long(table: Reader) -> None:
    rows = "".join(
        f"{case},{10 + at / 1000},{level + at}\n" for case, level in (("a", 50), ("b", 80)) for at in range(3)
    )
    _, reading = table("case,elapsed_s,p99_us\n" + rows)
    assert [column.guess for column in reading.of("ignored")] == ["how long runs were"]
    assert (
        table("case,run,duration,bytes\na,1,10.01,9\na,2,10.02,9\nb,1,10.1,9\nb,2,10.11,9\n")[0]["duration"].size == 4
    )
    # Here it is what was measured, and here the cases differ in it.
    assert table("case,elapsed_s\na,10.01\nb,10.02\n")[1].of("metric")
    assert len(table("case,elapsed_s,p99_us\na,10.1,5\nb,6.1,6\n")[1].of("metric")) == 2
    # Alike, but no length that anybody chooses; and beside no latency or rate it is what was measured.
    assert len(table("case,elapsed_s,p99_us\na,10.23,5\nb,10.31,6\n")[1].of("metric")) == 2
    assert len(table("case,runtime_s,rss_mb\na,10.01,311\nb,10.05,312\n")[1].of("metric")) == 2


def test_a_size_called_n_is_swept_and_never_pooled(table: Reader) -> None:
    _, reading = table("Method,N,Mean\nSend,64,1.2 us\nSend,1024,2.2 us\nRecv,64,1.4 us\nRecv,1024,2.9 us\n")
    assert [column.name for column in reading.of("factor")] == ["N"]
    runs, reading = table("qps,p99_us\n10k,50\n20k,55\n40k,80\n")
    assert [column.name for column in reading.of("factor")] == ["qps"] and runs["qps"].tolist() == [
        "10000",
        "20000",
        "40000",
    ]
    assert table("setting,p99_us\n10us,50\n50us,80\n")[0]["case"].tolist() == ["10us", "50us"]


PROGRAMS = {
    "hyperfine": (
        "command,mean,stddev,median,user,system,min,max,parameter_threads\n"
        "a 1,0.0123,0.0004,0.0121,0.01,0.02,0.011,0.014,1\n"
        "a 2,0.0223,0.0004,0.0221,0.01,0.02,0.021,0.024,2\n",
        ["parameter_threads"],
        {"rtt_p50_us": [12_100, 22_100], "rtt_max_us": [14_000, 24_000]},
    ),
    "pytest-benchmark": (
        "name,min,max,mean,stddev,rounds,median,iqr,ops,total,iterations\nt,0.00012,0.0013,0.00015,1e-5,50,0.00014,1e-5,6666.6,1,1\n",
        [],
        {"rtt_p50_us": [140]},
    ),
    "locust": (
        "Type,Name,Request Count,Median Response Time,Requests/s,50%,99%\n"
        "GET,/a,1000,5,99.8,5,30\nGET,/b,500,7,49.8,7,35\n"
        ",Aggregated,1500,6,149.6,6,33\n",
        [],
        {"rtt_p50_us": [5_000, 7_000], "rtt_p99_us": [30_000, 35_000], "rate_rps": [99.8, 49.8]},
    ),
    "sadf": (
        "# hostname;interval;timestamp;CPU;%user;%idle\n"
        + "".join(f"box;60;2026-11-30 10:{at:02};{cpu};{10 + cpu};{80 - at}\n" for at in range(3) for cpu in (0, 1)),
        ["CPU"],
        {"user_percent": [10, 11], "idle_percent": [79, 79]},
    ),
    "JMH": (
        'Benchmark,Mode,Threads,Samples,Score,Score Error (99.9%),Unit,Param: size\nx,avgt,1,5,123,1,ns/op,64\n'
        "x,avgt,1,5,223,2,ns/op,1024\n",
        ["Mode", "Threads", "Param: size"],
        {"Score": [123, 223]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_tables_of_programs_have_what_their_manuals_say(table: Reader, program: str) -> None:
    text, factors, figures = PROGRAMS[program]
    runs, reading = table(text)
    assert [column.name for column in reading.of("factor")] == factors
    for column, values in figures.items():
        assert runs[column].tolist() == pytest.approx(values)
    assert any(note.startswith(f"as {program} writes it") for note in reading.notes)


def test_packets_a_second_are_a_rate_and_no_requests(table: Reader) -> None:
    rows = "".join(f"2026-11-30 12:00:{at:02},{1 + at / 100}\n" for at in range(40))
    runs, _ = table("Time,Rx Mpps\n" + rows)
    (column,) = [name for name in runs if name not in ("case", "started_utc")]
    assert "request" not in str(column) and runs[column].tolist() == pytest.approx([1.195e6])


def test_deviations_of_a_benchmark_are_no_cases(table: Reader) -> None:
    runs, _ = table("name,real_time,time_unit\nB_mean,512,ns\nB_median,511,ns\nB_stddev,5,ns\nB_cv,0.01,ns\n")
    assert runs["case"].tolist() == ["B_mean", "B_median"]
