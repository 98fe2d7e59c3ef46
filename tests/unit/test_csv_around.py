"""What surrounds a table: titles, headers of several lines, units, bars; and logs of requests by other tools."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.errors import InputError
from harness.tables import load_runs
from harness.tables.reading.table import read
from tests import command

ROWS = "base,1,50.5\nbase,2,51.5\npoll,1,16.25\npoll,2,16.5\n"
VALUES = [50.5, 51.5, 16.25, 16.5]


def parted(mark: str, form: str, most: int = -1) -> str:
    """The rows with another mark between their fields, each within `form`."""
    return "".join(f"{form.format(row.replace(',', mark, most))}\n" for row in ROWS.split())


def p50(tmp_path: Path, data: bytes | str, name: str = "one.csv") -> list[float]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    runs = load_runs(path)
    assert runs["case"].tolist() == ["base", "base", "poll", "poll"]
    return list(runs["rtt_p50_us"])


@pytest.mark.parametrize(
    "data",
    [
        "Latency report\nby hand,2026\n\ncase,run,p50_us\n" + ROWS,
        "2026-11-30T12:00:00\nRun on (2 X 2600 MHz CPUs)\ncase,run,p50_us\n" + ROWS,
        "case,run,p50\n,,us\n" + ROWS,
        "case,run,p50\n[-],[-],[us]\n" + ROWS,
        "| case | run | p50_us |\n|------|:---:|-------:|\n" + parted(" | ", "| {} |"),
        '"case" "run" "p50_us"\n' + parted('" ', '"7" "{}', 1).replace(",", " "),
        ",case,run,p50_us\n" + "".join(f"{at},{row}\n" for at, row in enumerate(ROWS.split())),
        ("case;run;p50 [µs]\r\n" + ROWS.replace(",", ";").replace(".", ",")).encode("cp1252"),
        "case;essai;p50 (us)\n" + ROWS.replace(",", ";").replace(".", ","),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_stands_around_a_table_is_no_part_of_it(tmp_path: Path, data: bytes | str) -> None:
    assert p50(tmp_path, data) == VALUES


def test_units_below_the_header_are_taken_and_line_numbers_stay(tmp_path: Path) -> None:
    assert p50(tmp_path, "case,run,p50\n,,ms\n" + ROWS) == [1000 * value for value in VALUES]
    path = tmp_path / "one.csv"
    for above, line in (("case,run,p50\n,,ms\n", 5), ("Title\n\ncase,run,p50_us\n", 6)):
        path.write_text(above + ROWS.replace("16.25", "fast"))
        with pytest.raises(InputError, match=f":{line}: read a runs table: p50.* is 'fast'"):
            read(path)


@pytest.mark.parametrize("how", ["index", "reset", "named levels", "no index"])
def test_columns_of_two_levels_that_pandas_wrote(tmp_path: Path, how: str) -> None:
    columns = pd.MultiIndex.from_tuples([("lat_us", "p50"), ("lat_us", "p99"), ("requests", "rps")])
    frame = pd.DataFrame(
        [[50.5, 90, 1000], [16.25, 30, 3000]], columns=columns, index=pd.Index(["base", "poll"], name="case")
    )
    if how == "named levels":
        frame.columns.names = ["quantity", "stat"]
    frame = frame.reset_index() if how in ("reset", "no index") else frame
    frame.to_csv(tmp_path / "one.csv", index=how != "no index")
    runs = load_runs(tmp_path / "one.csv")
    assert runs["case"].tolist() == ["base", "poll"]
    assert runs["rtt_p50_us"].tolist() == [50.5, 16.25] and runs["rtt_p99_us"].tolist() == [90, 30]
    assert runs["rate_rps"].tolist() == [1000, 3000]


def test_rows_that_sum_up_others_are_no_runs(tmp_path: Path) -> None:
    rows = "".join(f'"BM/1",{100 + at},ns\n' for at in range(5))
    rows += '"BM/1_mean",102,ns\n"BM/1_median",102,ns\n"BM/1_stddev",1.5,ns\n"BM/1_cv",0.01,ns\n'
    (tmp_path / "one.csv").write_text("name,real_time,time_unit\n" + rows)
    _, reading = read(tmp_path / "one.csv")
    assert load_runs(tmp_path / "one.csv")["case"].tolist() == ["BM/1"] * 5
    assert any("rows that sum up others" in note for note in reading.notes)


def test_a_damaged_byte_of_utf8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_bytes("case,p50_us\nbüsy,1\nb".encode() + b"\xff,2\n")
    with pytest.raises(InputError, match=":3: read a runs table: it is not UTF-8 text"):
        read(tmp_path / "one.csv")


def log(header: str, row: str) -> str:
    """300 rows of what a load generator logs of each request. a to c: coarse times; t: of the clock."""
    lines = (
        row.format(a=0.001 + at % 7 / 1e4, b=at % 5 / 1e4, c=at % 2 / 1e4, t=1_760_000_000 + at // 10)
        for at in range(300)
    )
    return header + "".join(lines)


K6 = log(
    "metric_name,timestamp,metric_value,method,status\n",
    "http_reqs,{t},1,GET,200\nhttp_req_blocked,{t},{c:.4f},GET,200\nhttp_req_duration,{t},{a:.4f},GET,200\n",
)
OHA = log(
    "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status\n",
    "{t},0.0001,{b:.4f},{b:.4f},{a:.4f},612,200\n",
)
HEY = log(
    "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n",
    "{a:.4f},{b:.4f},0.0000,{c:.4f},{b:.4f},{c:.4f},200,{t}\n",
)


@pytest.mark.parametrize(
    ("text", "column", "median"),
    [(K6, "rtt_p50_us", 1.3), (OHA, "rtt_p50_us", 1300), (HEY, "rtt_p50_us", 1300)],
    ids=["k6", "oha", "hey"],
)
def test_logs_of_requests_with_their_parts_are_one_run(tmp_path: Path, text: str, column: str, median: float) -> None:
    """Their programs' manuals say that oha and hey print seconds, and k6 milliseconds."""
    (tmp_path / "one.csv").write_text(text)
    runs, reading = read(tmp_path / "one.csv")
    assert len(runs) == 1 and runs.floats("requests")[0] == 300
    assert runs.floats(column)[0] == pytest.approx(median)
    assert not reading.of("factor") and "a row a request" in reading.notes


def test_a_log_of_requests_in_a_unit_is_in_microseconds(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(
        "duration (ms),status\n" + "".join(f"{1 + at % 7 / 10},OK\n" for at in range(300))
    )
    done = command.call("show", str(tmp_path / "one.csv"))
    assert load_runs(tmp_path / "one.csv")["rtt_p50_us"].tolist() == [1300]
    assert "whether it is the whole round trip it does not say" in " ".join(done.stdout.split())


def test_a_log_whose_latency_is_not_told_asks_for_it(tmp_path: Path) -> None:
    rows = "".join(f"{at},{50 + at % 7},{40 + at % 5}\n" for at in range(300))
    (tmp_path / "one.csv").write_text("seq,lat_us,rtt_us\n" + rows)
    done = command.call("show", str(tmp_path / "one.csv"))
    assert done.returncode == 2 and "lat_us, rtt_us could each be their latency; name one with --metric" in done.stderr
    done = command.call("show", str(tmp_path / "one.csv"), "--metric", "lat_us", "--per", "request", "--json")
    assert done.returncode == 0, done.stderr
    # As ab -g writes it.
    rows = "".join(
        f"Mon Nov 30 12:13:{at // 10:02} 2026\t{1_796_040_821 + at // 10}\t0\t{at % 97}\t{at % 97}\n"
        for at in range(300)
    )
    (tmp_path / "one.csv").write_text("starttime\tseconds\tctime\tdtime\tttime\n" + rows)
    done = command.call("show", str(tmp_path / "one.csv"))
    assert done.returncode == 2 and "dtime, ttime could each be their latency" in done.stderr
    done = command.call("show", str(tmp_path / "one.csv"), "--metric", "ttime", "--per", "request", "--unit", "ms")
    assert done.returncode == 0 and "one run of 300" in done.stdout


def test_headers_between_rows_are_no_verdicts(tmp_path: Path) -> None:
    """Files that were put one below the other."""
    one = "case,p50_us,verdict\nbase,50,valid\nbase,51,suspect\npoll,16,valid\n"
    (tmp_path / "one.csv").write_text(one + one)
    done = command.call("compare", str(tmp_path / "one.csv"), "--baseline", "base", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert load_runs(tmp_path / "one.csv")["verdict"].tolist() == ["valid", "suspect", "valid"] * 2
