"""The answer in sentences: nothing is left out, alike cells are one sentence, a harm is told beside a gain."""

from __future__ import annotations

import re

import numpy as np
import pytest

from harness import columns
from harness.analysis.compare import Change, change
from harness.report import answer, layout, words
from harness.report.answer import Compared, sentences

METRICS = [columns.metric(name) for name in ("rtt_p50_us", "rtt_p99_us", "rtt_jitter_us", "set_cpu_us_per_request")]


def moved(name: str, factor: float, noise: float = 0.01, runs: int = 10) -> Change:
    draw = np.random.default_rng([int(1000 * factor), runs])
    base, test = (100 * by * draw.normal(1, noise, runs) for by in (1.0, factor))
    return change(name, base, test)


def cell(case: str, load: str = "", noise: float = 0.01, runs: int = 10, **factors: float) -> Compared:
    names = {"p50": "rtt_p50_us", "p99": "rtt_p99_us", "jitter": "rtt_jitter_us", "cost": "set_cpu_us_per_request"}
    changes = {names[key]: moved(names[key], factor, noise, runs) for key, factor in factors.items()}
    return Compared(case, (("load", load),) if load else (), changes)


def test_a_sentence_tells_what_changed_by_how_much_how_sure_and_at_what_cost() -> None:
    (text,) = sentences([cell("poll", p50=0.1, p99=0.2, cost=1.3)], METRICS, by_case=True)
    assert text.startswith("poll: RTT p50 ")
    assert "x lower (interval 9." in text and "100" in text and " us), RTT p99 " in text
    assert "; cost: CPU per request " in text and "% higher." in text


def test_cells_that_changed_alike_are_one_sentence_and_others_are_not() -> None:
    cells = [cell("poll", str(load), p50=0.5, p99=0.5, cost=1.0) for load in (1, 2, 3)]
    (text,) = sentences(cells, METRICS, by_case=True)
    assert text.startswith("poll at load=1, 2, 3: RTT p50 ")
    assert len(sentences([*cells, cell("poll", "4", p50=2.0, p99=0.5, cost=1.0)], METRICS, by_case=True)) == 2
    # So much more is a finding of its own.
    assert len(sentences([*cells, cell("poll", "4", p50=0.01, p99=0.5, cost=1.0)], METRICS, by_case=True)) == 2


def test_whole_sets_that_moved_are_one_sentence() -> None:
    cells = [cell(case, p50=1.3, p99=1.3, cost=1.3) for case in ("a", "b", "c")]
    (text,) = sentences(cells, METRICS, by_case=False)
    assert text.startswith("all 3 cells: ")
    assert len(sentences(cells, METRICS, by_case=True)) == 3


def test_a_tail_that_grew_is_told_beside_a_median_that_fell() -> None:
    (text,) = sentences([cell("poll", p50=0.5, p99=0.5, jitter=30.0, cost=1.0)], METRICS, by_case=True)
    assert "jitter" in text and text.index("lower") < text.index("jitter")
    (text,) = sentences([cell("poll", p50=0.5, p99=0.5, jitter=0.5, cost=1.0)], METRICS, by_case=True)
    assert "jitter" not in text


def test_what_shows_nothing_is_told_last_and_by_why() -> None:
    cells = [
        cell("same", p50=1.0, p99=1.0, cost=1.0),
        cell("loud", noise=0.5, p50=1.0, p99=1.0, cost=1.0),
        cell("short", runs=2, p50=0.5, p99=0.5, cost=1.0),
        cell("poll", p50=0.5, p99=0.5, cost=1.0),
    ]
    first, last = sentences(cells, METRICS, by_case=True)
    assert first.startswith("poll: ")
    assert last == (
        "RTT p50 no difference larger than 5 %: same; RTT p50 undecided: loud; too few valid runs to claim anything: "
        "short."
    )


def test_at_most_five_and_the_rest_counted() -> None:
    lines = [f"finding {number}" for number in range(8)]
    assert answer.cut(lines, "--all has them") == [*lines[:5], "3 more findings: --all has them"]
    assert answer.cut(lines[:5], "") == lines[:5]


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["polled 99.8 % and 5", "polled 97 % and 5"], "polled 97..99.8 % and 5"),
        (["took >99.9 %", "took 12 %"], "took 12..>99.9 %"),
        (["took"], "took"),
    ],
)
def test_texts_that_differ_in_numbers_are_one(texts: list[str], text: str) -> None:
    assert answer.spread(texts) == text


def test_a_legend_explains_only_columns_that_are_shown() -> None:
    cols = (layout.Col("case"), layout.Col("much too wide to be shown here", keep=1, name="wide"))
    table = layout.Table(cols, ((layout.Text("a"), layout.Text("1")),))
    blocks = [table, layout.Para("how to read it", about="wide")]
    assert "how to read it" in layout.to_text(blocks, 60, False)
    assert "how to read it" not in layout.to_text(blocks, 20, False)
    blank = layout.Table(cols, ((layout.Text("a"), layout.Text("")),))
    assert "how to read it" not in layout.to_markdown([blank, blocks[1]])


def test_an_interval_is_in_one_unit_that_of_what_it_is_about() -> None:
    assert words.sizes([1.4, 1.9]) == ["1.4x", "1.9x"]
    assert words.sizes([1.4, 1.9], 1.45) == ["40.0 %", "90.0 %"]
    assert words.sizes([0.7, 0.6], 0.6) == ["1.4x", "1.7x"]
    # One digit would say "1.0x", no change at all.
    assert words.span(words.sizes([1.02, 2.5])) == "1.02 to 2.50x"
    assert words.span(words.sizes([5.68, 5.73], apart=True)) == "5.68 to 5.73x"
    assert words.span(words.sizes([0.99, 0.93])) == "1.0 to 7.0 %"
    (text,) = sentences([cell("poll", "1", p50=1.4), cell("poll", "2", p50=1.6)], METRICS, by_case=True)
    assert re.search(r"RTT p50 1\.4 to 1\.6x higher \(interval 1\.\d to 1\.\dx\)", text), text
