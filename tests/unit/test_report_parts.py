"""Parts of the page and its charts: what colours mean, knobs in words, names that cover nothing, numbers as packed."""

from __future__ import annotations

import base64
import json
import random
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.compare.model import Judged, Outcome
from harness.analysis.curves import heat_map, load_curves, load_study, marks
from harness.analysis.summary import CellView, overview
from harness.report.charts.heat import fields
from harness.report.charts.kinds import against_load, quantile_charts
from harness.report.charts.labels import Labels
from harness.report.charts.terminal import bar, blocks, sparkline
from harness.report.html import page
from harness.report.html.knobs import evidence_words, knob_table, setting_words, value_words
from harness.report.html.outcomes import outcome
from harness.report.html.style import Look, times
from harness.report.layout import grouped, to_text
from harness.report.resultset import document
from harness.stats import estimate
from tests.unit import pages, synthetic
from tests.unit.test_report_html import Page


def cell(case: str, load: str, p99: list[float]) -> CellView:
    """A cell of these p99 and a rate that falls as they rise."""
    found = {"rtt_p99_us": estimate(p99), "rate_rps": estimate([1e6 / value for value in p99])}
    return CellView(case, (("load", load),), len(p99), len(p99), {"valid": len(p99)}, found, {}, (), "")


def test_noise_has_no_colour_and_what_intervals_tell_apart_has() -> None:
    noise = [100.0, 103, 98, 101, 99, 104]
    cells = [cell("base", "0%", noise), cell("base", "100%", [value + 1 for value in noise])]
    cells += [cell("poll", "0%", [value / 2 for value in noise]), cell("poll", "100%", [value * 12 for value in noise])]
    heat = heat_map(cells)
    assert heat is not None
    drawn = fields(heat, "rtt_p99_us", cells, "base")
    assert {place: (field.strength, field.text) for place, field in drawn.items()} == {
        (0, 0): (0, ""),
        (0, 1): (0, ""),
        (1, 0): (2, "2.0x lower"),
        (1, 1): (-4, "11.9x higher"),
    }
    # More requests are better, so there the signs turn.
    assert [field.strength for field in fields(heat, "rate_rps", cells, "base").values()] == [0, 0, 2, -4]


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("eth0 gro_flush_timeout", "20000", "20 µs"),
        ("eth0 irq_suspend_timeout, per NAPI", "20000000", "20 ms"),
        ("SO_BUSY_POLL on the tcp of server", "50", "50 µs"),
        ("EPIOCSPARAMS on the epoll of server", "[50,8,0]", "50 µs, budget 8, prefer off"),
        ("EPIOCSPARAMS", "[0,0,0]", "off"),
        ("eth0 tso", "false", "off"),
        ("eth0 threaded", "2", "busy-poll"),
        ("eth0 rx-usecs", "0", "0"),
        ("cpu.max", "50000 100000", "50 ms of every 100 ms"),
        ("eth0 napi_defer_hard_irqs", "100", "100"),
        ("policy", "fifo", "fifo"),
        ("", "", ""),
    ],
)
def test_values_have_units(setting: str, value: str, words: str) -> None:
    assert value_words(setting, value) == words


def test_settings_and_evidence_have_no_marks_of_a_program() -> None:
    assert setting_words("SO_BUSY_POLL server[2252] fd 11 (tcp) napi 41693") == "SO_BUSY_POLL on the tcp of server"
    assert setting_words("SO_BUSY_POLL server[9] fd 3 (tcp listener)") == "SO_BUSY_POLL on the tcp of server"
    assert setting_words("SO_BUSY_POLL memcached: 8 sockets like fd 9 (tcp) napi 1") == (
        "SO_BUSY_POLL on the tcp of memcached"
    )
    assert setting_words("eth0 napi 8194 irq_suspend_timeout") == "eth0 irq_suspend_timeout, per NAPI"
    assert setting_words("eth0 gro_flush_timeout") == "eth0 gro_flush_timeout"
    text = "the NAPI that carried the traffic has {'defer_hard_irqs': 1, 'gro_flush_timeout': 20000}"
    assert evidence_words(text) == "the NAPI that carried the traffic has defer_hard_irqs 1, gro_flush_timeout 20 µs"
    assert evidence_words("NAPI threads [142, 143] used 3 ms") == "NAPI threads 142, 143 used 3 ms"
    assert evidence_words("{'half': ") == "{'half': "


def test_the_sockets_of_a_program_share_a_row_that_counts_runs() -> None:
    rows = [
        {
            "run_id": f"r{run}",
            "case": "poll",
            "node": "server",
            "knob": "busy_poll",
            "setting": f"SO_BUSY_POLL server[{100 + run}] fd {fd} (tcp) napi {run}",
            "requested": "50",
            "found": "0" if fd == 3 else "50",
            "applied": "50",
            "took_effect": run != 2 or fd != 5,
            "evidence": f"{fd}00 of 1000 packets busy-polled",
        }
        for run in range(3)
        for fd in range(3, 9)
    ]
    found = Page(knob_table(Look(marks(["base", "poll"], "base")), pd.DataFrame(rows)))
    assert len(found.named("tr")) == 2
    words = " ".join(found.words)
    assert "✓ yes, 2 runs" in words
    assert "○ no, 1 run" in words


@pytest.mark.parametrize(
    ("judged", "kind"),
    [(("better", ""), "gain"), (("", "worse"), "harm"), (("worse", "better"), "trade-off"), (("", ""), "undecided")],
)
def test_a_cell_has_one_verdict(judged: tuple[Judged, Judged], kind: str) -> None:
    views = overview(synthetic.source(blocks=8)).cells
    seen = next(view.changes["rtt_p50_us"] for view in views if view.changes)

    claims: dict[Judged, Outcome] = {"better": "lower", "worse": "higher", "": "~"}
    made = [replace(seen, judged=way, outcome=claims[way], no_larger=None) for way in judged]
    changes = dict(zip(("rtt_p50_us", "rtt_p99_us"), made, strict=True))
    view = CellView("a", (), 5, 5, {"valid": 5}, {}, changes, (), "")
    assert outcome(view, "set_cpu_us_per_request") == kind


def test_where_no_latencies_are_none_are_explained() -> None:
    view = overview(synthetic.source(blocks=3))
    assert "the whole round trip" in to_text(document(view), 100, False)
    bare = [
        replace(cell, estimates={"throughput_bps": estimate([1e9, 2e9, 3e9])}, inert={}, changes={})
        for cell in view.cells
    ]
    text = to_text(document(replace(view, cells=tuple(bare))), 100, False)
    assert "RTT" not in text
    assert "Shown are medians over the valid runs." in text


def test_names_cover_neither_each_other_nor_marks() -> None:
    draw = random.Random(3)
    spots = [(draw.uniform(150, 300), draw.uniform(80, 220)) for _ in range(25)]
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    room = Labels([], boxes, (0, 0, 440, 300), 5.0)
    placed = [room.place(60.0, 13.0, [spot], 9.0, far=True) for spot in spots]
    taken = boxes + [(one.left, one.middle - 6.5, one.left + 60, one.middle + 6.5) for one in placed if one]
    assert sum(one is not None for one in placed) > 18
    assert any(one is not None and one.stroke_from in spots for one in placed)
    assert all(one.before == (one.left + 60 < x) for one, (x, _) in zip(placed, spots, strict=True) if one)
    for (a, b, c, d), (e, f, g, h) in combinations(taken[25:], 2):
        assert a >= g or c <= e or b >= h or d <= f
    for a, b, c, d in taken[25:]:
        assert not any(a < g and c > e and b < h and d > f for e, f, g, h in boxes)


def test_the_page_holds_every_median_and_interval_of_the_cells(tmp_path: Path) -> None:
    study = load_study(pages.load_sweep(tmp_path, blocks=6, count=1500, rates=(10, 40, 100)).path)
    view = overview(study.source)
    text = page([(study, view)])
    match = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    data = json.loads(match[1])
    columns = [np.frombuffer(base64.b64decode(column), dtype="<f4") for column in data["columns"]]
    slots = {case[0]: case[1] for case in data["cases"]}
    seen = 0
    for chart in data["charts"]:
        answers = chart["answers"]
        if answers["Chart"] != "Figures" or answers["Figure"] != "RTT p99, µs" or answers["Across"] != "case":
            continue
        for series in chart["marks"]:
            median, _, low, high, _, _, runs = (columns[place][0] for place in series["dots"])
            factors = (("workload.rate", answers["workload.rate"]),)
            (mine,) = [one for one in view.cells if (one.case, one.factors) == (slots[series["case"]], factors)]
            known = mine.estimates["rtt_p99_us"]
            assert known.interval is not None
            assert (median, low, high) == pytest.approx((known.median, known.interval.low, known.interval.high))
            assert runs == known.n
            seen += 1
    assert seen == len(view.cells)


def test_bars_and_sparklines_are_the_charts_in_characters(tmp_path: Path) -> None:
    study = load_study(pages.load_sweep(tmp_path, blocks=3, count=1500, rates=(10, 40, 100)).path)
    view = overview(study.source)
    charts = quantile_charts(view.cells)
    for chart in charts.values():
        for series in chart.series:
            line = bar(chart, series, 40)
            p50 = next(one for one in view.cells if one.case == series.case and chart is charts[one.factors])
            assert line.index("o") == int(chart.x.share(p50.median("rtt_p50_us") or 0.0) * 40)
            assert line.index("o") <= (line + "+").index("+") < 41
    curves = load_curves(view.cells)
    assert curves is not None
    over = against_load(curves)[()][0]
    sparks = {series.case: sparkline(over, series) for series in over.series}
    text = to_text(blocks(view, 80), 80, False)
    assert max(map(len, text.splitlines())) <= 80
    assert all(len(spark) == 3 and spark in text for spark in sparks.values())
    # A block is a higher letter the higher it stands.
    assert sparks["base"] > sparks["busypoll"]
    assert blocks(overview(load_study(pages.bare(tmp_path / "one").path).source), 80) == []


def test_headings_name_factors_by_as_much_of_their_keys_as_has_room() -> None:
    def headings(*names: str) -> list[str]:
        rows = grouped((tuple((name, value) for name in names), ()) for value in ("10", "20"))
        return [row for row in rows if isinstance(row, str)]

    assert headings("a.b.usecs", "c.load") == ["a.b.usecs=10, c.load=10", "a.b.usecs=20, c.load=20"]
    long = "settings.server.epoll_busy_poll"
    assert (
        headings(f"{long}.usecs", f"{long}.prefer")[1]
        == "server.epoll_busy_poll.usecs=20, server.epoll_busy_poll.prefer=20"
    )
    alike = ("settings.server.busy_poll.usecs", "settings.client.busy_poll.usecs", "x" * 60)
    assert headings(*alike)[0] == f"server.busy_poll.usecs=10, client.busy_poll.usecs=10, {'x' * 60}=10"


def test_factors_have_the_sign_and_names_keep_their_letter() -> None:
    assert times("6.7x lower [6.61x..7.42x lower] of tx lower") == "6.7× lower [6.61×..7.42× lower] of tx lower"
