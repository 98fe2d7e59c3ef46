"""CSV files of any origin: a table, or an error with file and line; no traceback, no silent drop."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import report
from harness.analysis.compare import compare_cases, compare_sources
from harness.analysis.summary import overview
from harness.errors import InputError, PollbenchError
from harness.tables import Source, load_runs
from tests.examples import examples


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "hand.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_least_that_can_be_compared(tmp_path: Path) -> None:
    runs = load_runs(write(tmp_path, "case,rtt_p50_us\nbase,61.5\nbusy,\nbusy,7\n"))
    assert runs["case"].tolist() == ["base", "busy", "busy"]
    assert runs["rtt_p50_us"].isna().tolist() == [False, True, False]


def test_blanks_around_commas_belong_to_no_field(tmp_path: Path) -> None:
    text = 'case , rtt_p50_us,\tverdict\n"a, b" , NA, valid \r\n  base,  6.5 ,\tsuspect\n'
    runs = load_runs(write(tmp_path, text))
    assert list(runs.columns) == ["case", "rtt_p50_us", "verdict"]
    assert runs["case"].tolist() == ["a, b", "base"]
    assert runs["rtt_p50_us"].isna().tolist() == [True, False]
    assert runs["verdict"].tolist() == ["valid", "suspect"]
    with pytest.raises(InputError, match=r"hand.csv:3: .*rtt_p50_us is '6.5x'"):
        load_runs(write(tmp_path, text.replace("6.5", "6.5x")))


@pytest.mark.parametrize(
    "content", ["﻿case,x_us\r\na,1\r\n", "case,x_us\ra,1\r", '"case","x_us"\n"a","1"', "\n\ncase,x_us\n\na,1\n\n"]
)
def test_dialects(tmp_path: Path, content: str) -> None:
    runs = load_runs(write(tmp_path, content))
    assert list(runs.columns) == ["case", "x_us"]
    assert runs["x_us"].tolist() == [1.0]


def test_numbers_stay_numbers_and_factors_text(tmp_path: Path) -> None:
    runs = load_runs(write(tmp_path, "case,load,contention.load,my_us,block\na,010,0%, 1e3,2\n"))
    assert (runs["load"][0], runs["contention.load"][0], runs["my_us"][0], runs["block"][0]) == ("010", "0%", 1000, 2)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("", 1, "it is empty"),
        ("\n\n", 1, "it is empty"),
        ("case,rtt_p50_us\n", 1, "no rows"),
        ("case,load\na,1\n", 1, "no measured column"),
        ("case,kernel\na,1\n", 1, "no measured column"),
        ("case;load\na;1\n", 1, "no measured column among case, load"),
        ("case,x_us,x_us\na,1,2\n", 1, "there twice"),
        ("case,,x_us\na,1,2\n", 1, "no name"),
        ("case,x_us\na,1\nb,fast\n", 3, "x_us is 'fast'"),
        ("case,x_us\na,1\nb,1,2\n", 3, "3 fields, the header has 2"),
        ("case,x_us\na,1\nb\n", 3, "1 fields, the header has 2"),
        ("case,x_us\na,1\nb,inf\n", 3, "x_us is 'inf'"),
        ("case,x_us\na,1e999\n", 2, "x_us is '1e999'"),
        ("case,x_us,verdict\na,1,valid\nb,2,good\n", 3, "verdict is 'good'"),
        ('case,x_us\n"a\nb",1\nc,x\n', 4, "x_us is 'x'"),
        (b"case,x_us\na,1\n\x81,2\n", 3, "not UTF-8"),
        (b"case,x_us\na,1\n\0,2\n", 3, "zero byte"),
        ('case,x_us\na,1\nb,"2\n', 3, "not CSV"),
    ],
)
def test_a_fault_is_named_by_line(tmp_path: Path, content: str | bytes, line: int, said: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        load_runs(path)
    assert caught.value.line().startswith(f"{path}:{line}: read a runs table")
    assert said in caught.value.line()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_runs(tmp_path / "none.csv")
    with pytest.raises(InputError, match="Is a directory"):
        load_runs(tmp_path)


NAMES = st.sampled_from(
    ["case", "x_us", "verdict", "block", "load", "rtt_p50_us", "reasons", "a.b", "", "=x", "run_id"]
)
FIELDS = st.one_of(
    st.sampled_from(
        ["", "1", "1.5", "-3", "nan", "NaN", "inf", "1e400", "valid", "inert", "a", "'=a", '"', "1_0", "\x1b[31m"]
    ),
    st.text(max_size=8),
)
TABLES = st.builds(
    lambda names, rows, end: end.join(",".join(row) for row in [names, *rows]) + end,
    st.lists(NAMES, min_size=1, max_size=5),
    st.lists(st.lists(FIELDS, min_size=1, max_size=5), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)


def check(path: Path) -> None:
    """A table that all of show and compare can work with, or an InputError."""
    try:
        runs = load_runs(path)
    except InputError as error:
        assert str(path) in error.line()
        return
    assert isinstance(runs, pd.DataFrame)
    source = Source("hand", runs)
    try:
        found = [report.show(overview(source), fmt) for fmt in report.FORMATS]
        first = str(runs["case"][0])
        found += [report.compare(compare_cases(source, first), fmt) for fmt in report.COMPARE_FORMATS]
        found += [report.compare(compare_sources([source, source]), fmt) for fmt in report.COMPARE_FORMATS]
    except PollbenchError:
        return
    assert "\x1b" not in found[0]
    assert all(text.endswith("\n") for text in found)


FUZZ = settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(TABLES)
@example("case,x_us\na,1\nb,2\n")
@example("case,block,x_us\n" + "a,1,5\n" * 6)
@example("case,rtt_p50_us\n" + "a,1e308\n" * 6 + "b,1e-308\n" * 6)
def test_no_table_gives_a_traceback(tmp_path: Path, content: str) -> None:
    check(write(tmp_path, content.encode("utf-8", "surrogatepass")))


@FUZZ
@given(st.binary(max_size=200))
@example(b'case,x_us\n"')
@example(b"case,x_us\r\r\n")
def test_no_bytes_give_a_traceback(tmp_path: Path, content: bytes) -> None:
    check(write(tmp_path, content))
    check(write(tmp_path, b"case,x_us\n" + content))
