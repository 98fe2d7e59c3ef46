"""`from harness import load`: tidy frames with the types that are promised, and memory for what is asked for."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness import load
from harness.analysis.api import tables
from harness.errors import InputError
from harness.tables import frames, load_source
from tests.unit import pages

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "results" / "reference" / "quickstart"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small load sweep."""
    return pages.load_sweep(tmp_path_factory.mktemp("sweep"), blocks=2, count=3000, rates=(10, 40, 100)).path


def test_types_are_those_promised(sweep: Path) -> None:
    found = load(sweep)
    runs, evidence, samples = found.runs, found.evidence, found.samples()
    assert list(runs.columns[:4]) == ["set", "run_id", "case", "workload.rate"]
    assert isinstance(runs["set"].dtype, pd.CategoricalDtype)
    assert {str(runs[name].dtype) for name in ("run_id", "case", "workload.rate", "verdict")} == {"str"}
    assert {str(runs[name].dtype) for name in ("rtt_p99_us", "lost", "block")} == {"float64"}
    assert str(evidence["took_effect"].dtype) == "boolean"
    assert list(map(str, samples.dtypes)) == ["category", "category", "int64", "int64"]
    texts = [str(name) for name in runs.columns if runs[name].dtype == "str"]
    assert not runs[texts].isna().to_numpy().any()
    assert len(samples) == 24 * 3000
    assert found.sets == ["load-curve/20261122T101500Z"]
    assert found.warnings == []
    assert list(found.summary.columns[:3]) == ["set", "case", "workload.rate"]
    assert set(found.nodes["node"]) == {"client", "server"}
    assert set(found.cpus["cpu"]) == {"0", "1"}


def test_rows_are_those_of_the_csv_tables_however_they_are_batched(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_source(sweep)
    assert whole.knobs is not None
    for size in (500, 7):
        monkeypatch.setattr(tables, "BATCH", size)
        found = load(sweep)
        pd.testing.assert_frame_equal(found.runs.drop(columns="set"), whole.runs)
        pd.testing.assert_frame_equal(found.evidence.drop(columns="set"), whole.knobs)


def test_batches_may_differ_in_their_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [pages.run("base", {}, block, block, 200, 20.0, 5.0) for block in range(1, 5)]
    for at, (record, _) in enumerate(made):
        record.environment[f"extra{at}"] = f"text{at}"
        record.metrics[f"extra{at}_us"] = float(at)
    path = pages.saved(tmp_path, made).path
    monkeypatch.setattr(tables, "BATCH", 1)
    runs = load(path).runs.drop(columns="set")
    expected = frames([record for record, _ in made]).runs
    names = sorted(map(str, expected.columns))
    pd.testing.assert_frame_equal(runs[names], expected[names])
    assert len(runs.columns) == len(names)


def test_only_columns_asked_for(sweep: Path) -> None:
    found = load(sweep)
    assert list(found.table("runs", ["case", "rtt_p99_us"]).columns) == ["set", "case", "rtt_p99_us"]
    assert list(found.samples(["latency_ns"]).columns) == ["latency_ns"]
    assert list(found.samples(["run_id"]).columns) == ["run_id"]
    for ask in (lambda: found.table("runs", ["nix"]), lambda: found.samples(["nix"]), lambda: found.number("nix")):
        with pytest.raises(InputError, match="there is no such column"):
            ask()


def test_samples_of_some_runs(sweep: Path) -> None:
    found = load(sweep)
    base = found.runs[found.runs["case"] == "base"]
    ids = list(base["run_id"])
    assert list(found.samples(["run_id"], base)["run_id"].unique()) == ids
    assert list(found.samples(["run_id"], ids[:1])["run_id"].unique()) == ids[:1]
    assert [run.run_id for run in found.each_run(runs=ids[::-1])] == ids[::-1]
    with pytest.raises(InputError, match="there is no such run"):
        found.samples(runs=["nix"])
    for run in found.each_run(["latency_ns"], ids[:2]):
        answered = np.sort(run.samples["latency_ns"].to_numpy())
        answered = answered[answered >= 0]
        stored = base.loc[base["run_id"] == run.run_id, "rtt_p50_us"].iloc[0]
        assert answered[-(-answered.size // 2) - 1] / 1e3 == pytest.approx(stored)


def test_the_distribution_of_a_run_is_its_latencies(sweep: Path) -> None:
    found = load(sweep)
    row = found.runs.iloc[0]
    curve = found.ecdf(row["run_id"], limit=50)
    assert list(curve.columns) == ["rtt_us", "share"] and len(curve) <= 51
    assert curve["rtt_us"].is_monotonic_increasing and curve["share"].iloc[-1] <= 1.0
    beside = curve[curve["share"] >= 0.5]["rtt_us"].iloc[0]
    assert beside == pytest.approx(row["rtt_p50_us"], rel=0.1)


def test_a_run_without_samples_has_no_distribution() -> None:
    found = load(REFERENCE)
    with pytest.raises(InputError, match="it has none"):
        found.ecdf(found.runs["run_id"].iloc[0])


def test_factors_become_numbers(sweep: Path) -> None:
    found = load(sweep)
    assert sorted(found.number("workload.rate").unique()) == [10_000.0, 40_000.0, 100_000.0]


def test_several_sets_are_told_apart_even_copies(sweep: Path, tmp_path: Path) -> None:
    other = pages.load_sweep(tmp_path, blocks=2, count=1000, rates=(10, 40, 100)).path
    found = load(sweep, other)
    assert found.sets == [str(sweep), str(other)]
    assert found.runs.groupby("set", observed=True).size().tolist() == [24, 24]
    run = found.runs[found.runs["set"] == str(other)].iloc[:1]
    assert len(found.samples(["latency_ns"], run)) == 1000
    assert len(found.samples(["latency_ns"], list(run["run_id"]))) == 4000
    with pytest.raises(InputError, match="given twice"):
        load(sweep, sweep)


def test_a_csv_file_has_runs_and_no_samples(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("case,rtt_p50_us\na,1.5\nb,2\n")
    found = load(file)
    assert list(found.runs["rtt_p50_us"]) == [1.5, 2.0]
    assert (len(found.evidence), len(found.samples()), list(found.each_run())) == (0, 0, [])
    assert found.sets == [str(file)]


def test_a_directory_may_hold_nothing_but_the_table_of_runs(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("case,rtt_p50_us\na,1.5\n")
    assert list(load(tmp_path).runs["rtt_p50_us"]) == [1.5]


def test_samples_bear_the_names_of_their_set_and_run(sweep: Path) -> None:
    found = load(sweep)
    run_id = found.runs["run_id"].iloc[0]
    samples = found.samples(["set", "run_id"], found.runs.iloc[:1])
    assert (samples["set"].unique().tolist(), samples["run_id"].unique().tolist()) == (found.sets, [run_id])


def test_damage_is_a_warning_for_all_runs_and_an_error_for_a_named_column(tmp_path: Path) -> None:
    results = pages.bare(tmp_path, runs=3)
    ids = results.run_ids()
    results.sample_file(ids[0]).write_bytes(b"PAR1 not really")
    (results.path / "runs" / ids[1] / "run.json").write_text("{")
    found = load(results.path)
    assert len(found.runs) == 2
    assert len(found.samples(["latency_ns"])) == 2 * 5000
    assert len(found.warnings) == 2


def test_nothing_to_load() -> None:
    with pytest.raises(InputError, match="no path"):
        load()
    with pytest.raises(InputError, match="no such file"):
        load("/nonexistent/set")


def test_memory_is_for_the_columns_asked_for(tmp_path: Path) -> None:
    import pyarrow

    made = [pages.run("base", {}, block, block, 200_000, 20.0, 5.0) for block in range(1, 11)]
    path = pages.saved(tmp_path, made).path
    del made
    found = load(path)
    found.samples(["latency_ns"])
    pool = pyarrow.default_memory_pool()
    tracemalloc.start()
    samples = found.samples(["latency_ns"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    for _ in found.each_run(["latency_ns"]):
        pass
    walked = tracemalloc.get_traced_memory()[1] - samples.memory_usage().sum()
    tracemalloc.stop()
    asked, one_run = 10 * 200_000 * 8, 200_000 * 8
    assert peak < asked + 2 * one_run
    assert walked < 2 * one_run
    assert pool.bytes_allocated() < 2 * one_run


def test_the_example_of_the_documentation_runs(sweep: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "analysis_example.py"), str(sweep)]
    found = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert found.returncode == 0, found.stderr
    assert "24 runs of load-curve/20261122T101500Z" in found.stdout
    assert "24,000" not in found.stderr


def test_the_example_runs_where_there_are_no_samples() -> None:
    command = [sys.executable, str(ROOT / "docs" / "analysis_example.py"), str(REFERENCE)]
    found = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert found.returncode == 0, found.stderr
    assert "0 requests" in found.stdout


def test_a_table_that_there_is_none_of(sweep: Path) -> None:
    with pytest.raises(InputError, match="there are: runs, nodes, knobs, cpus"):
        load(sweep).table("foo")  # type: ignore[arg-type]


def test_importing_the_package_alone_loads_nothing_heavy() -> None:
    ask = "import sys, harness; assert 'pandas' not in sys.modules; harness.load; assert 'pandas' in sys.modules"
    subprocess.run([sys.executable, "-c", ask], cwd=ROOT, check=True)
    import harness

    with pytest.raises(AttributeError):
        harness.nothing  # noqa: B018
