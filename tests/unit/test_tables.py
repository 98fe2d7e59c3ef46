"""Records to tables to CSV files and back: fixed columns, plan order, nothing lost, no formulas."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import columns
from harness.errors import InputError
from harness.store import ResultSet, RunRecord
from harness.tables import frames, load_runs, load_source, summary_frame, to_csv, write_tables
from harness.tables.csvout import neutral, number
from tests.unit.synthetic import CASES, LOADS, FakePlan, record, result_set

STAMP = "20261122T101500Z"


def make_set(base: Path, records: list[RunRecord], stamp: str = STAMP) -> ResultSet:
    results = ResultSet.create(base, "quickstart", stamp, b"", FakePlan(), {})
    for made in records:
        results.save_run(made)
    return results


def test_columns_are_fixed_and_factors_follow_the_case() -> None:
    runs = frames(result_set(blocks=1)).runs
    fixed = [column.name for column in columns.RUN_COLUMNS]
    assert list(runs.columns) == ["run_id", "case", "contention.load", *fixed[2:]]
    assert list(frames([]).runs.columns) == fixed
    assert runs["rtt_p50_us"].dtype == np.float64
    assert runs["contention.load"].tolist().count("0%") == 3


def test_rows_come_in_the_order_of_the_plan(tmp_path: Path) -> None:
    results = make_set(tmp_path, result_set(blocks=2))
    runs = write_tables(results).runs
    assert list(zip(runs["contention.load"], runs["case"], runs["block"], strict=True)) == [
        (load, case, block) for load in LOADS for case in CASES for block in (0, 1)
    ]


def test_a_metric_that_is_not_listed_is_kept() -> None:
    made = record()
    made.metrics.update(zeta_us=1.0, alpha_us=2.0)
    made.environment["rack"] = "left"
    runs = frames([made]).runs
    assert list(runs.columns)[-3:] == ["alpha_us", "zeta_us", "rack"]
    assert runs["rack"].tolist() == ["left"]


def test_parts_of_a_run_have_tables_of_their_own() -> None:
    tables = frames(result_set(blocks=1))
    assert tables.nodes["node"].tolist().count("server") == 6
    assert set(tables.cpus["cpu"]) == {"0", "1"}
    assert len(tables.knobs) == 8
    assert tables.knobs["took_effect"].dtype == "boolean"
    assert tables.knobs["took_effect"].isna().sum() == 4


def test_a_set_is_written_whole_and_read_back_equal(tmp_path: Path) -> None:
    results = make_set(tmp_path, result_set(troubled=True))
    tables = write_tables(results)
    files = sorted(path.name for path in results.path.glob("*.csv"))
    assert files == ["cpus.csv", "knobs.csv", "nodes.csv", "runs.csv", "summary.csv"]
    read = load_runs(results.path / "runs.csv")
    assert list(read.columns) == list(tables.runs.columns)
    for name in read.columns:
        if pd.api.types.is_numeric_dtype(read[name].dtype):
            np.testing.assert_allclose(read[name], tables.runs[name], atol=0.005, equal_nan=True)
        else:
            assert read[name].tolist() == tables.runs[name].tolist()
    before = (results.path / "runs.csv").read_bytes()
    write_tables(results)
    assert (results.path / "runs.csv").read_bytes() == before
    assert b"nan" not in before.lower()


def test_summary_counts_every_verdict(tmp_path: Path) -> None:
    summary = summary_frame(write_tables(make_set(tmp_path, result_set(troubled=True))).runs)
    cell = summary[(summary["case"] == "busypoll50") & (summary["contention.load"] == "100%")].iloc[0]
    assert (cell["n_total"], cell["n_valid"], cell["n_inert"]) == (5, 3, 2)
    assert (cell["rtt_p50_us_n"], cell["rtt_p50_us_confidence_percent"]) == (3, 75)
    assert cell["rtt_p50_us_low"] <= cell["rtt_p50_us"] <= cell["rtt_p50_us_high"]
    skipped = summary[(summary["case"] == "defer20") & (summary["contention.load"] == "100%")].iloc[0]
    assert np.isnan(skipped["rtt_p50_us"])
    assert b",5,0,0,0,0,5," in to_csv(summary)


def test_sources_of_every_kind(tmp_path: Path) -> None:
    results = make_set(tmp_path, result_set(blocks=1))
    write_tables(results)
    whole = load_source(results.path)
    assert whole.label == f"quickstart/{STAMP}"
    assert sum(whole.planned.values()) == 30
    assert len(load_source(tmp_path / "quickstart").runs) == 6
    assert len(load_source(results.path / "runs.csv").runs) == 6
    with pytest.raises(InputError, match="no such file"):
        load_source(tmp_path / "nothing")
    assert load_source(tmp_path).label == whole.label, "the newest set below"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not one"):
        load_source(tmp_path / "empty")


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("-5", "-5"),
        ("+1.5e3", "+1.5e3"),
        ("-20us", "-20us"),
        ("base", "base"),
        ("", ""),
    ],
)
def test_formulas_are_neutralised(text: str, out: str) -> None:
    assert neutral(text) == out


def test_neutral_text_reads_back_as_it_was(tmp_path: Path) -> None:
    reasons = ("@x", 'with "quotes", commas\nand lines')
    made = replace(record(), case="=evil()", reasons=reasons, factors={"a.b": "-x"})
    path = tmp_path / "runs.csv"
    path.write_bytes(to_csv(frames([made]).runs))
    row = next(csv.reader(io.StringIO(path.read_text()[path.read_text().index("\n") + 1 :])))
    assert row[1:3] == ["'=evil()", "'-x"]
    read = load_runs(path)
    assert (read["case"][0], read["a.b"][0]) == ("=evil()", "-x")
    assert read["reasons"][0] == '@x; with "quotes", commas\nand lines'


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_digits_are_enough(value: float) -> None:
    assert float(number(value, 3)) == pytest.approx(value, abs=0.00051)
    assert number(value, 3) != "-0"


def test_a_tail_that_only_the_fast_runs_have_is_no_tail_of_the_cell() -> None:
    runs = pd.DataFrame(
        {
            "case": ["a"] * 3 + ["b"] * 2,
            "verdict": ["valid"] * 5,
            "rtt_p99_us": [10.0, 400.0, 500.0, 7.0, 8.0],
            "rtt_p99_9_us": [20.0, None, None, 9.0, 10.0],
        }
    )
    summary = summary_frame(runs).set_index("case")
    assert summary["rtt_p99_us"].to_dict() == {"a": 400.0, "b": 7.5}
    assert pd.isna(summary["rtt_p99_9_us"]["a"]) and summary["rtt_p99_9_us"]["b"] == 9.5
