"""What pandas writes: runs of our own API with and without index, and any table, which compares or says why not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import load
from tests import command
from tests.examples import examples

QUICKSTART = Path(__file__).parents[2] / "results" / "reference" / "quickstart"


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return load(QUICKSTART).runs


def ratios(*words: str | Path) -> dict[tuple[str, ...], float]:
    """Ratio of the median round trip by case and factors."""
    done = command.call("compare", *words, "--metric", "rtt_p50_us", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    return {(row["case"], *row["factors"].values()): row["ratio"] for row in rows}


@pytest.mark.parametrize("index", [True, False])
def test_our_own_runs_written_by_pandas_compare_as_the_set_does(
    tmp_path: Path, runs: pd.DataFrame, index: bool
) -> None:
    path = tmp_path / "runs.csv"
    runs.to_csv(path, index=index)
    assert ratios(path, QUICKSTART) == dict.fromkeys(ratios(QUICKSTART, "--baseline", "base") | ratios(path, path), 1.0)
    assert ratios(path, "--baseline", "base") == pytest.approx(ratios(QUICKSTART, "--baseline", "base"))
    done = command.call("show", path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        f"runs.csv: columns as pollbench writes them; constant set{'; ignored the first column' if index else ''}",
    )


@pytest.mark.parametrize("index", [True, False])
def test_merged_sets_are_never_pooled(tmp_path: Path, runs: pd.DataFrame, index: bool) -> None:
    path = tmp_path / "runs.csv"
    slower = runs.assign(set="after", rtt_p50_us=2 * runs["rtt_p50_us"])
    # The same plan: every run_id is there twice, and they are different runs.
    pd.concat([runs.assign(set="before"), slower]).to_csv(path, index=index)
    alone = ratios(QUICKSTART, "--baseline", "base")
    merged = ratios(path, "--baseline", "base")
    assert {(case, load): merged[case, "before", load] for case, load in alone} == pytest.approx(alone)
    assert set(ratios(path, "--baseline", "set=before").values()) == {2.0}
    assert load(path).runs["set_before"].unique().tolist() == ["before", "after"]


def test_other_shapes_of_our_own_runs(tmp_path: Path, runs: pd.DataFrame) -> None:
    alone = ratios(QUICKSTART, "--baseline", "base")
    path = tmp_path / "runs.csv"
    shapes: tuple[tuple[pd.DataFrame, dict[str, Any]], ...] = (
        (runs.set_index(["case", "contention.load"]), {}),
        (runs[["case", "contention.load", "block", "order", "rtt_p50_us"]], {"sep": ";", "decimal": ","}),
        (runs[["case", "contention.load", "block", "order", "rtt_p50_us"]], {"sep": "\t", "encoding": "utf-16"}),
        (runs[["case", "contention.load", "block", "order", "rtt_p50_us"]], {"quoting": csv.QUOTE_ALL}),
        (runs.melt(["case", "contention.load", "block"], ["rtt_p50_us", "rtt_p99_us"]), {"index": False}),
    )
    for table, options in shapes:
        table.to_csv(path, **options)
        assert ratios(path, "--baseline", "base") == pytest.approx(alone)


NAMES = st.one_of(
    st.sampled_from(["case", "config", "p50", "p99_us", "lat (ms)", "qps", "busy_poll_us", "threads", "run", "block"]),
    st.sampled_from(["run_id", "set", "time", "timestamp", "host", "metric", "value", "unit", "percentile", "a.b"]),
    st.sampled_from(["rtt_p50_us", "rate_rps", "started_utc", "workload_size_bytes", "Unnamed: 0", "verdict", "", "1"]),
    st.sampled_from(["order", "index", "score", "status", "µ", "'=a", "a\nb"]),
)
NUMBERS = st.one_of(
    st.floats(width=32), st.integers(-5, 5), st.sampled_from([0.0, 50.0, 1e300, 1e-300, 1_760_000_000.0])
)
TEXTS = st.one_of(
    st.sampled_from(["a", "b", "ok", "valid", "p50", "us", "50%", "12.3us", "1,5", "#x", "", '"']), st.text(max_size=5)
)
VALUES = st.one_of(NUMBERS, TEXTS, st.booleans(), st.none(), st.datetimes().map(pd.Timestamp), st.binary(max_size=3))


def columns(rows: int) -> st.SearchStrategy[list[list[Any]]]:
    def column(cells: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
        return st.lists(cells, min_size=rows, max_size=rows)

    few = st.lists(st.one_of(NUMBERS, TEXTS), min_size=1, max_size=2).flatmap(
        lambda some: column(st.sampled_from(some))
    )
    return st.lists(st.one_of(column(NUMBERS), column(TEXTS), column(VALUES), few), min_size=1, max_size=6)


HOSTILE = (
    st.integers(0, 8)
    .flatmap(columns)
    .flatmap(lambda data: st.lists(NAMES, min_size=len(data), max_size=len(data)).map(lambda names: (names, data)))
)
FIGURES = st.one_of(st.floats(0.001, 1e6), st.sampled_from([float("nan"), 0.0, 40.0, 50.0]))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "config": st.sampled_from(["a", "b"]),
    "note": st.text(max_size=4),
    "busy_poll_us": st.sampled_from([0, 50]),
    "threads": st.sampled_from([1, 2.0, None]),
    "run": st.integers(1, 3),
    "run_id": st.sampled_from(["r1", "r2", "r3", ""]),
    "time": st.datetimes().map(pd.Timestamp),
    "host": st.sampled_from(["n1", "n2"]),
    "status": st.sampled_from(["ok", "failed", ""]),
    "latency": FIGURES,
    "p50": FIGURES,
    "p99 (ms)": FIGURES,
    "qps": FIGURES,
    "metric": st.sampled_from(["p50", "p99", "qps"]),
    "value": FIGURES,
}


def likely(rows: int) -> st.SearchStrategy[tuple[list[str], list[list[Any]]]]:
    """Tables such as people have, in any combination of columns."""

    def filled(names: list[str]) -> st.SearchStrategy[tuple[list[str], list[list[Any]]]]:
        lists = (st.lists(CELLS[name], min_size=rows, max_size=rows) for name in names)
        return st.tuples(*lists).map(lambda data: (names, list(data)))

    return st.lists(st.sampled_from(list(CELLS)), min_size=2, max_size=8, unique=True).flatmap(filled)


TABLES = st.one_of(HOSTILE, st.sampled_from([1, 4, 12, 40]).flatmap(likely), st.just(12).flatmap(likely))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.booleans(),
        "header": st.booleans(),
        "sep": st.sampled_from([",", ";", "\t", "|", " "]),
        "decimal": st.sampled_from([".", ","]),
        "na_rep": st.sampled_from(["", "NA", "NULL", "-", "nan"]),
        "float_format": st.sampled_from(["%.3f", "%.2e", "%g"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        "compression": st.sampled_from(["gzip", "xz", "bz2", "zip"]),
    },
)
FUZZ = settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))


@pytest.mark.filterwarnings("ignore:.* will not write the byte order mark")
@FUZZ
@given(TABLES, OPTIONS, st.sampled_from([(), ("--per", "request"), ("--unit", "us"), ("--by", "case")]))
@example((["case", "p50"], [["a"] * 5, [1.0] * 5]), {}, ())
@example((["case", "started_utc", "p50"], [["a"] * 4, ["-002-01-01 00:00:00"] * 4, [1.0] * 4]), {}, ())
@example((["case", "time", "p50"], [["a"] * 4, [pd.Timestamp("0002-01-01")] * 4, [1.0] * 4]), {}, ())
@example((["metric", "value"], [["p50"] * 5, [1.0] * 5]), {"decimal": ",", "sep": ";"}, ())
def test_any_table_of_pandas_compares_or_says_in_one_line_why_not(
    tmp_path: Path, table: tuple[list[str], list[list[Any]]], options: dict[str, Any], words: tuple[str, ...]
) -> None:
    names, data = table
    frame = pd.concat([pd.Series(values, dtype=object) for values in data], axis=1)
    frame.columns = pd.Index(names)
    path = tmp_path / "table.csv"
    try:
        frame.to_csv(path, **options)
    except (UnicodeEncodeError, csv.Error):
        return
    for command_words in (("show", path), ("compare", path, path), ("compare", path, "--baseline", "a")):
        some = words if command_words[0] == "compare" or words[:1] != ("--by",) else ()
        done = command.call(*command_words, *some)
        assert done.returncode in (0, 2), done.stderr
        if done.returncode == 2:
            assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
            assert done.stderr.startswith("pollbench: ")
            assert str(path) in done.stderr or command_words[0] == "compare"
