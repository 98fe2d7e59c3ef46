"""The forms in which CSV files come: packing, encoding, separators, decimals, shapes; and what is no CSV."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import InputError
from harness.tables import load_runs, load_source
from harness.tables.reading.account import Mapping
from harness.tables.reading.numbers import number_of
from harness.tables.reading.table import read
from tests import command

TEXT = "config,p50_us\nbase,50.5\nbase,51.5\npoll,16.25\npoll,16.5\n"
VALUES = [50.5, 51.5, 16.25, 16.5]


def values(tmp_path: Path, data: bytes, name: str = "one.csv") -> list[float]:
    path = tmp_path / name
    path.write_bytes(data)
    runs = load_runs(path)
    assert runs["case"].tolist() == ["base", "base", "poll", "poll"]
    return list(runs["rtt_p50_us"])


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT[:20].encode()) + gzip.compress(TEXT[20:].encode()),
        lzma.compress(TEXT.encode()),
        bz2.compress(TEXT.encode()),
        pa.compress(TEXT.encode(), "zstd", asbytes=True),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-8-sig"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.replace("\n", "\n\n").encode(),
        ("sep=,\n" + TEXT).encode(),
        ("# measured on a Monday\n# by hand\n" + TEXT).encode(),
        TEXT.replace("poll,16.25", "# a pause\npoll,16.25").encode(),
        TEXT.replace(",", ";").replace(".", ",").encode(),
        ("sep=;\n" + TEXT.replace(",", ";").replace(".", ",")).encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", "   ").encode(),
        TEXT.replace(",", " , ").encode(),
        TEXT.replace("config", '"config"').replace("base", '"base"').encode(),
        TEXT.replace("config", " config ").replace(",", "|").encode(),
        TEXT.replace("\n", ",\n").encode(),
        (TEXT + ",\n,\n").encode(),
        (TEXT[:34] + TEXT[:14] + TEXT[34:]).encode(),
        TEXT.replace(",", " ").replace("p50_us", '"p50 (us)"').encode(),
    ],
    ids=range(25),
)
def test_one_table_in_all_its_forms(tmp_path: Path, data: bytes) -> None:
    assert values(tmp_path, data) == VALUES


@pytest.mark.parametrize("name", ["one.csv.gz", "one.data", "one"])
def test_the_content_tells_how_it_is_packed_not_the_name(tmp_path: Path, name: str) -> None:
    assert values(tmp_path, gzip.compress(TEXT.encode()), name) == VALUES
    assert values(tmp_path, TEXT.encode(), name) == VALUES


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("12.3us", ".", (12.3, "us")),
        ("12,3 µs", ",", (12.3, "us")),
        ("1,234.5", ".", (1234.5, "")),
        ("1.234,5 ms", ",", (1234.5, "ms")),
        ("1 234", ".", (1234, "")),
        ("1'234'567", ".", (1234567, "")),
        ("-1.5e-3", ".", (-0.0015, "")),
        ("5 %", ".", (5, "%")),
        ("12,34", ".", None),
        ("1,23,456", ".", None),
        ("inf", ".", None),
        ("1e999", ".", None),
        ("4 parsec", ".", None),
        ("fast", ".", None),
        ("1_0", ".", None),
    ],
)
def test_numbers_as_cells_have_them(text: str, decimal: str, number: tuple[float, str] | None) -> None:
    assert number_of(text, decimal) == number


def figures(tmp_path: Path, text: str) -> list[float]:
    path = tmp_path / "one.csv"
    path.write_text(text)
    runs = load_runs(path)
    (name,) = [name for name in runs.columns if name != "case"]
    return list(runs[name])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["a;1,5", "a;12,25"], [1.5, 12.25]),
        (["a;1.234,5", "a;12,25"], [1234.5, 12.25]),
        (["a;1,234", "a;12,345"], [1.234, 12.345]),
        (["a;1,234", "a;987"], [1234, 987]),
        (["a;1,234,567", "a;12,345"], [1234567, 12345]),
        (['a,"1,234"', "a,987"], [1234, 987]),
        (['a,"1,234.5"', 'a,"12,345"'], [1234.5, 12345]),
        (['a,"12,5"', 'a,"13,25"'], [12.5, 13.25]),
        (["a,1 234", "a,12 345"], [1234, 12345]),
    ],
)
def test_a_comma_in_a_number_is_read_as_it_is_meant(tmp_path: Path, rows: list[str], expected: list[float]) -> None:
    mark = rows[0][1]
    assert figures(tmp_path, "\n".join([f"config{mark}p50", *rows])) == expected


@pytest.mark.parametrize("rows", [['a,"1,234"', 'a,"2,345"'], ["a;1,234", "a;5678"]])
def test_a_comma_that_nothing_explains_is_asked_for(tmp_path: Path, rows: list[str]) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join([f"config{rows[0][1]}p50", *rows]))
    with pytest.raises(InputError, match="nothing tells whether '1,234' has a decimal comma or grouped thousands"):
        read(path)
    for decimal, expected in ((",", 1.234), (".", 1234)):
        (tmp_path / "one.csv.yaml").write_text(f'decimal: "{decimal}"\n')
        assert load_runs(path)["latency_p50"][0] == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PAR1....", "it is a Parquet file"),
        (b"PK\x03\x04....", "a spreadsheet or a zip archive"),
        (b'{"p50": 5}', "it is JSON"),
        (b"<table><tr>", "it is HTML or XML"),
        (b"case,p50_us\na,1\n\x81,2\n", ":3: read a runs table: it is not UTF-8 text"),
        (b"base,50.5\npoll,16\n", ":1: read a runs table: its first line is no header: it holds the number 50.5"),
        (b"config,p50\n", "it has a header and no rows"),
        (b"config,note\na,b\n", "there is no measured column among config, note"),
        (b"config,p50_us\na,fast\n", ":2: read a runs table: p50_us is 'fast'"),
        (b"config,p50_us\na,inf\n", ":2: read a runs table: p50_us is 'inf'"),
        (b"config,p50_us\na,1\nb,1,2\n", ":3: read a runs table: it has 3 fields, the header has 2"),
        (b"config,p50_us,p50_us\na,1,2\n", "column 'p50_us' is there twice"),
        (b"case,,p50\na,x,2\nb,y,2\n", "a column has no name"),
        (gzip.compress(TEXT.encode())[:-9], "it cannot be unpacked"),
        (lzma.compress(TEXT.encode())[:-9], "it cannot be unpacked"),
    ],
    ids=range(15),
)
def test_what_cannot_be_read_is_one_sentence_with_a_place(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "one.csv"
    path.write_bytes(data)
    done = command.call("show", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and str(path) in done.stderr and done.stderr.count("\n") == 1


def test_a_small_file_that_unpacks_to_more_than_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.tables.reading import opened

    monkeypatch.setattr(opened, "MOST_BYTES", 1 << 16)
    for pack in (gzip.compress, lzma.compress, bz2.compress, lambda data: pa.compress(data, "zstd", asbytes=True)):
        path = tmp_path / "one.csv"
        path.write_bytes(pack(b"a" * (1 << 20)))
        with pytest.raises(InputError, match="it unpacks to more than"):
            opened.text_of(path)


def test_cells_with_and_without_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("config,p50_us\na,12.5us\na,0.5 ms\na,13\n")
    assert load_runs(path)["rtt_p50_us"].tolist() == [12.5, 500, 13]
    path.write_text("case,rtt_p50_us\na,12.5ms\na,0.5s\n")
    assert load_runs(path)["rtt_p50_us"].tolist() == [12_500, 500_000]
    path.write_text("config,p50\na,12.5us\na,13\n")
    with pytest.raises(InputError, match=r"one.csv:1: .*p50 has cells of several units"):
        read(path)


def requests(tmp_path: Path, name: str, header: str, level: float, count: int = 500) -> Path:
    path = tmp_path / name
    rows = [f"{case},{at},{level + at % 100 / 100}" for case in ("base", "poll") for at in range(count)]
    path.write_text("\n".join([header, *rows]))
    return path


def test_a_row_a_request_is_one_run_and_is_told_so(tmp_path: Path) -> None:
    one = requests(tmp_path, "a.csv", "config,seq,latency_us", 50)
    other = requests(tmp_path, "b.csv", "config,seq,latency_us", 100)
    done = command.call("compare", one, other)
    assert "In a.csv, 1,000 rows are requests, 2 runs of 500: a run counts once" in " ".join(done.stdout.split())
    assert "few runs" in done.stdout and "; a row a request" in done.stdout
    document = json.loads(command.call("compare", one, other, "--json").stdout)
    row = next(row for row in document["rows"] if row["metric"] == "rtt_p50_us")
    assert (row["base"]["median"], row["base"]["n"], row["outcome"]) == (50.49, 1, "")
    # As runs they would claim a lot.
    done = command.call("compare", one, other, "--per", "run", "--json")
    assert json.loads(done.stdout)["rows"][0]["base"]["n"] == 500


def intervals(tmp_path: Path, name: str, seconds: list[int]) -> Path:
    """A load generator's history: running totals, quantiles of the last seconds, the rate."""
    path = tmp_path / name
    rows = [f"{1_700_000_000 + at},10,GET,{100 + at % 3},{20 + at % 5},{15 - at % 2},{90 + at}" for at in seconds]
    path.write_text("\n".join(["Timestamp,User Count,Name,Requests/s,95%,Min Response Time,Max Response Time", *rows]))
    return path


def test_rows_that_come_every_second_are_intervals_of_one_run(tmp_path: Path) -> None:
    path = intervals(tmp_path, "a.csv", list(range(60)))
    table, reading = read(path)
    row = table.frame().iloc[0]
    assert (len(table), row["rate_rps"], row["latency_min"], row["latency_max"]) == (1, 101, 14, 149)
    assert "latency_p95" not in table, "quantiles of intervals cannot be combined"
    assert "no figure of a whole run can be had from User Count, 95%" in reading.warnings[0]
    assert len(read(path, Mapping(per="run"))[0]) == 60
    done = command.call("compare", path, intervals(tmp_path, "b.csv", list(range(100, 160))))
    assert "In a.csv, 60 rows are intervals of 1 s of one run: a run counts once" in " ".join(done.stdout.split())
    assert "few runs" in done.stdout


def test_rows_that_come_less_evenly_or_say_their_runs_are_runs(tmp_path: Path) -> None:
    assert len(read(intervals(tmp_path, "nights.csv", [at * 86_400 for at in range(60)]))[0]) == 60
    assert len(read(intervals(tmp_path, "loop.csv", [at * 5 + at * at % 3 for at in range(60)]))[0]) == 60
    assert len(read(intervals(tmp_path, "few.csv", list(range(20))))[0]) == 20
    path = intervals(tmp_path, "said.csv", list(range(60)))
    path.write_text(path.read_text().replace("User Count", "run"))
    assert len(read(path)[0]) == 60


def test_intervals_that_do_not_count_are_left_out_and_one_without_a_time_is_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    stamps = [f"2026-11-30T10:00:{at:02d}" if at != 7 else "" for at in range(60)]
    rows = [f"{stamp},{'failed' if at < 20 else 'ok'},{1 if at < 20 else 100}" for at, stamp in enumerate(stamps)]
    path.write_text("\n".join(["timestamp,status,qps", *rows]))
    table, reading = read(path)
    assert list(table.floats("rate_rps")) == [100]
    assert "20 rows that do not count are left out; --per run if each row is a run" in reading.warnings[0]


def test_intervals_by_ones_own_word_have_the_runs_that_the_table_tells(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    rows = [f"{run},{at},{100 * run + at % 2}" for run in (1, 2, 3) for at in range(10)]
    path.write_text("\n".join(["run,second,qps", *rows]))
    assert list(read(path, Mapping(per="interval"))[0].floats("rate_rps")) == [100.5, 200.5, 300.5]


def test_rows_that_sum_up_others_do_not_shift_the_rows_of_requests(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    rows = [f"a,{at // 300},{50 + at // 300}" for at in range(600)]
    path.write_text("\n".join(["name,repetition,latency_us", "a_mean,0,1", "a_stddev,0,1", *rows]))
    assert list(read(path)[0].floats("rtt_p50_us")) == [50, 51]


def test_intervals_of_which_nothing_can_be_combined_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(["time_s,p50_us,p99_us", *(f"{at / 2},{at % 7 + 10},{at % 9 + 30}" for at in range(80))]))
    with pytest.raises(InputError, match=r"intervals of a run of 0.5 s, and .*cannot be combined: .*say --per run"):
        read(path)


def test_requests_of_several_runs_are_gathered_by_run(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    rows = [f"{case},{run},{50 + run + at % 10 / 10}" for case in "ab" for run in range(5) for at in range(250)]
    path.write_text("\n".join(["config,run,latency", *rows]))
    table, reading = read(path)
    runs = table.frame()
    assert runs["case"].value_counts().to_dict() == {"a": 5, "b": 5}
    assert runs["latency_p50"].tolist()[:3] == pytest.approx([50.4, 51.4, 52.4])
    assert runs["requests"].unique().tolist() == [250]
    assert "latency_p99_9" not in runs.columns  # 250 requests do not know it
    assert "10 runs of 250" in reading.warnings[0]


def test_few_rows_are_runs_unless_the_user_says_that_they_are_requests(tmp_path: Path) -> None:
    path = requests(tmp_path, "a.csv", "config,run,latency_us", 50, count=5)
    assert len(read(path)[0]) == 10
    done = command.call("show", path, "--per", "request", "--json")
    assert [cell["total"] for cell in json.loads(done.stdout)["cells"]] == [5, 5]
    path.write_text("config,latency_us\n" + "a,5\n" * 20)
    done = command.call("show", path, "--per", "request", "--json")
    assert [cell["total"] for cell in json.loads(done.stdout)["cells"]] == [1]


def test_long_tables_in_which_figures_have_units_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    rows = [
        f"{case},{run},{metric}"
        for case in "ab"
        for run in (1, 2)
        for metric in ("p50,40,us", "p99,0.1,ms", "qps,9,1/s")
    ]
    path.write_text("\n".join(["config,run,metric,value,unit", *rows]))
    runs = load_runs(path)
    assert runs[["rtt_p50_us", "rtt_p99_us", "rate_rps"]].drop_duplicates().to_numpy().tolist() == [[40, 100, 9]]
    assert len(runs) == 4


def test_points_group_thousands_where_commas_are_decimal_but_not_in_a_column_of_decimals(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    path.write_text(
        "Fall;Latenz p99 (µs);Anfragen/s;cpu %\na;40,12;12.437;0.500\na;41,2;1.512.437;12.5\nb;30,1;999;33.125\n"
    )
    runs = load_runs(path)
    assert runs["rtt_p99_us"].tolist() == [40.12, 41.2, 30.1]
    assert runs["rate_rps"].tolist() == [12_437, 1_512_437, 999]
    assert runs["cpu_percent"].tolist() == [0.5, 12.5, 33.125]


def test_a_run_that_is_there_twice_under_another_name_of_its_id_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    rows = [f"id{case}{run},{case},{run},{40 + run}\n" for run in range(5) for case in "ab"]
    path.write_text("uuid,config,rep,p99_us\n" + "".join(row + row for row in rows))
    source = load_source(path)
    assert len(source.runs) == 10 and "10 runs are in the table more than once" in source.warnings[0]


def test_a_column_of_many_texts_that_differ_is_as_one_of_few(tmp_path: Path) -> None:
    """Ids are read as they are, other texts by their distinct values: which of the two never shows."""
    path = tmp_path / "ids.csv"
    ids = [f"run{at}" for at in range(300)] + ["run7", "", "run7"]
    path.write_text("case,run_id,p50_us\n" + "".join(f"x,{run_id},{at}\n" for at, run_id in enumerate(ids)))
    table, _ = read(path)
    column = table.texts("run_id")
    assert column.rows().tolist() == ids and not column.unique
    assert column.distinct() == [*ids[:300], ""]
    assert table.take(column.are(lambda text: text == "run7")).floats("rtt_p50_us").tolist() == [7, 300, 302]
    assert column.take(np.arange(300)).unique
