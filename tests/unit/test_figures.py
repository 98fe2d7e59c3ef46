"""Charts as data: which factor becomes an axis, which cells are on it, which cases nobody beats."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from harness.analysis.curves import heat_map, load_curves, load_study, marks, trades, typical_runs
from harness.analysis.curves.factors import NumericFactor, axes, quantity
from harness.analysis.curves.gather import narrowed
from harness.analysis.curves.spots import Spot, Spots
from harness.analysis.summary import CellView, overview
from harness.errors import InputError
from harness.spec.claims import Picture
from harness.stats import estimate
from harness.tables import group_cells
from tests.unit import pages, synthetic


def view(case: str, factors: tuple[tuple[str, str], ...] = (), p99: float = 10.0, cpu: float = 5.0) -> CellView:
    """A cell of three equal runs."""
    found = {"rtt_p99_us": estimate([p99] * 3), "cpu_us_per_request": estimate([cpu] * 3)}
    return CellView(case, factors, 3, 3, {"valid": 3}, found, {}, (), "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10k", (10_000.0, "")),
        ("1.5M", (1_500_000.0, "")),
        ("50", (50.0, "")),
        ("100%", (100.0, "%")),
        ("20us", (20.0, "us")),
        ("1ms", (1000.0, "us")),
        ("1gbit", (1e9, "bit/s")),
        ("16KiB", (16384.0, "bytes")),
        ("fq_codel", None),
        ("", None),
        ("1e5 apples", None),
        ("-3", None),
    ],
)
def test_quantities(text: str, found: tuple[float, str] | None) -> None:
    assert quantity(text) == found


def test_axes_are_numbers_of_one_unit_and_load_comes_first() -> None:
    values = [("x.usecs", ["0", "50us", "1ms"]), ("workload.rate", ["10k", "5k", "20k"])]
    values += [("y.kind", ["spin", "1", "2"]), ("z.mixed", ["1ms", "5%", "3"])]
    views = [view("a", tuple((name, each[at]) for name, each in values)) for at in range(3)]
    found = axes(views, 3)
    assert [(axis.name, axis.unit, axis.load_like) for axis in found] == [
        ("workload.rate", "", True),
        ("x.usecs", "us", False),
    ]
    assert found[1].numbers == {"0": 0.0, "50us": 50.0, "1ms": 1000.0}
    assert found[0].axis_name == "rate, 1/s"


def test_load_curves_are_sorted_by_number_and_split_by_other_factors() -> None:
    views = [
        view(case, (("workload.rate", rate), ("net", net)))
        for net in ("lan", "wan")
        for rate in ("20k", "5k", "100k")
        for case in ("a", "b")
    ]
    found = load_curves(views)
    assert found is not None
    assert list(found.panels) == [(("net", "lan"),), (("net", "wan"),)]
    points = found.estimates((("net", "wan"),), "b", "rtt_p99_us")
    assert [x for x, _ in points] == [5000.0, 20_000.0, 100_000.0]
    assert load_curves(views[:2]) is None


def test_heat_map_prefers_contention_for_its_columns() -> None:
    views = [
        view(case, (("rate", rate), ("contention.load", load)))
        for case in ("a", "b")
        for rate in ("1", "2", "3")
        for load in ("0%", "100%")
    ]
    found = heat_map(views)
    assert found is not None
    assert (found.factor, found.values) == ("contention.load", ["0%", "100%"])
    assert list(found.rows)[:2] == [("a", (("rate", "1"),)), ("a", (("rate", "2"),))]
    assert found.metrics == ("rtt_p99_us", "cpu_us_per_request")
    assert heat_map([view("a"), view("b")]) is None


def test_trades_name_the_cases_that_no_other_beats() -> None:
    views = [view("dear", p99=5, cpu=20), view("cheap", p99=50, cpu=2), view("bad", p99=60, cpu=10)]
    views += [view("middle", p99=10, cpu=8), view("none", p99=0)]
    assert {each.case: each.best for each in trades(views)[()]} == {
        "cheap": True,
        "middle": True,
        "bad": False,
        "dear": True,
    }


def test_the_typical_run_is_the_one_nearest_the_median() -> None:
    source = synthetic.source()
    cells = group_cells(source.runs)
    for (case, factors), run_id in typical_runs(source, cells).items():
        load = dict(factors)["contention.load"]
        mine = source.runs[(source.runs["case"] == case) & (source.runs["contention.load"] == load)]
        away = (mine["rtt_p99_us"] - mine["rtt_p99_us"].median()).abs()
        assert mine["run_id"].iloc[int(away.argmin())] == run_id


def test_a_typical_run_is_by_the_median_where_no_tail_is_known() -> None:
    source = synthetic.source()
    runs = source.runs
    without = dataclasses.replace(source, runs=runs.drop(columns="rtt_p99_us"))
    blank = dataclasses.replace(source, runs=runs.assign(rtt_p99_us=float("nan")))
    found = typical_runs(without, group_cells(without.runs))
    assert found == typical_runs(blank, group_cells(blank.runs)) and len(found) > 3
    (case, factors), run_id = next(iter(found.items()))
    mine = runs[(runs["case"] == case) & (runs["contention.load"] == dict(factors)["contention.load"])]
    away = (mine["rtt_p50_us"] - mine["rtt_p50_us"].median()).abs()
    assert mine["run_id"].iloc[int(away.argmin())] == run_id
    nameless = dataclasses.replace(source, runs=runs.drop(columns="run_id"))
    assert typical_runs(nameless, group_cells(nameless.runs)) == {}


def test_cases_look_different_from_one_another_and_the_baseline_always_the_same() -> None:
    found = marks([f"case{at}" for at in range(28)], "case3")
    assert len({(mark.light, mark.shape, mark.dash) for mark in found.values()}) == 28
    assert len({(mark.dark, mark.dash) for mark in found.values()}) == 28
    assert marks(["x", "b"], "b")["b"].light == found["case3"].light


def test_narrowing_keeps_what_was_asked_for_and_says_what_is_not_there(tmp_path: Path) -> None:
    pages.load_sweep(tmp_path, blocks=2, count=500, rates=(10, 40))
    study = load_study(tmp_path / "load-curve")
    found = narrowed(study, ["base"], {"workload.rate": "40k"})
    assert len(found.source.runs) == 2
    cells = [(cell.case, cell.factors) for cell in overview(found.source).cells]
    assert cells == [("base", (("workload.rate", "40k"),))]
    for cases, at in ((["nix"], {}), ([], {"workload.rate": "1"}), ([], {"nix": "1"})):
        with pytest.raises(InputError, match="choose what to draw"):
            narrowed(study, cases, at)


@pytest.mark.parametrize(
    ("name", "like", "shown"),
    [
        *((name, True, f"{name}, 1/s") for name in ("rate", "qps", "rps", "offered")),
        *((name, True, name) for name in ("load", "depth", "clients", "connections", "sockets", "threads")),
        ("size", False, "size"),
        ("QPS", True, "QPS, 1/s"),
    ],
)
def test_what_stands_for_load_and_what_is_a_rate(name: str, like: bool, shown: str) -> None:
    axis = NumericFactor(f"workload.{name}", "", {})
    assert (axis.load_like, axis.axis_name) == (like, shown)
    assert NumericFactor("x.delay", "us", {}).axis_name == "delay, µs"


def test_every_case_has_a_colour_of_its_own_on_light_and_dark_paper() -> None:
    found = marks(["a", "base", *"bcdefg", "a"], "base")
    assert list(found) == ["a", "base", *"bcdefg"] and [mark.slot for mark in found.values()] == list(range(8))
    colours = [colour for mark in found.values() for colour in (mark.light, mark.dark)]
    assert len(set(colours)) == 16 and all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)
    assert (found["base"].shape, found["base"].dash, found["a"].dash) == ("circle", "", "")
    assert len({mark.shape for mark in found.values()}) == 8
    again = marks(["base", *"abcdefgh"], "base")
    assert again["h"].light == again["a"].light and again["h"].dash != again["a"].dash


def test_the_diagonal_of_a_grid_is_where_both_axes_name_the_same_time() -> None:
    picture = Picture.model_validate({"kind": "grid", "x": "workload.rate", "y": "timer", "diagonal": True})
    rates, timers = ("1k", "20k", "100k"), ("10us", "50us", "200us")
    factors = [(("workload.rate", rate), ("timer", timer)) for rate in rates for timer in timers]
    grid = Spots(picture, tuple(Spot("a", each, estimate([1.0])) for each in factors), "workload.rate", "timer")
    assert (grid.values("workload.rate"), grid.values("timer"), grid.values("case")) == ([*rates], [*timers], ["a"])
    # Between two of 20,000 requests a second lie 50 us; nothing is near to the millisecond of the first rate.
    assert grid.diagonal() == {("20k", "50us"), ("100k", "10us")}
    spot = grid.at("20k", "200us")
    assert spot is not None and spot.factors == factors[5] and spot.along("nothing") == ""
    assert grid.at("20k", "7us") is None
    plain = Picture.model_validate({"kind": "grid", "x": "workload.rate", "y": "timer"})
    assert dataclasses.replace(grid, picture=plain).diagonal() == set()
