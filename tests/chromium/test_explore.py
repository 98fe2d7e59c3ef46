"""The chart to choose, used as a person would: by mouse and by keys, what it reads, and the files it leaves."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser
from tests.chromium.conftest import PHONE, WIDE, opened
from tests.unit import pages

AXE = Path(__file__).parents[2] / "build" / "axe" / "axe.min.js"
TIP = "return document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').textContent"
PLOT = (
    "const box = document.querySelector('#live-chart .u-over').getBoundingClientRect();"
    "return [box.left, box.top, box.width, box.height]"
)


def choose(window: Browser, **answers: str) -> None:
    """Answer the questions above the chart, one after another."""
    for question, answer in answers.items():
        window.js(
            "const s = document.querySelector(`#answers [data-question='${CSS.escape(arguments[0])}']`);"
            "s.value = arguments[1]; s.dispatchEvent(new Event('input'))",
            question.replace("_", "."),
            answer,
        )


def keys(window: Browser, *names: str) -> list[str]:
    """Keys to the chart, and the lines that are read then."""
    window.js("document.querySelector('#live-chart').focus()")
    window.press(*names)
    return str(window.js(TIP)).splitlines()


def ticks(window: Browser, axis: str) -> list[float]:
    """The table of the chart's numbers tells its range: the least and the greatest value in sight."""
    return list(window.js(f"return Live.range('{axis}')"))


def saved(window: Browser, downloads: Path, form: str) -> bytes:
    """What a button saves; the browser writes it in its own time."""
    for old in downloads.iterdir():
        old.unlink()
    # By the mouse itself: a page that saves several files without anybody's doing is stopped by the browser.
    window.js(f"document.querySelector('[data-save={form}]').scrollIntoView({{block: 'center'}})")
    where = window.js(
        f"const box = document.querySelector('[data-save={form}]').getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]"
    )
    window.drag(where, where)
    done = lambda: [path for path in downloads.iterdir() if path.suffix == f".{form}" and path.stat().st_size]  # noqa: E731
    return wait(window, done)[0].read_bytes()


def wait(window: Browser, seen: Callable[[], Any]) -> Any:
    """What `seen` sees, once it is something; the page gets turns meanwhile."""
    for _ in range(600):
        if value := seen():
            return value
        window.js("return new Promise(done => setTimeout(done, 50))")
    raise AssertionError("nothing came within half a minute")


def test_a_figure_is_read_by_keys_with_its_interval(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    lines = keys(window, "ArrowRight")
    assert lines[0] == "rate, 1/s 10k"
    assert [line.split(":")[0] for line in lines[1:]] == list(pages.CASES)
    # The same words as the table of all cells, which Python wrote.
    row = "[...document.querySelectorAll('#s0-cells tbody tr')].find(r => r.textContent.includes('busypoll')).innerText"
    median = lines[2].split()[1]
    assert median in window.js(f"return {row}").split()
    assert lines[2].endswith("12 runs")
    assert " – " in lines[2]
    choose(window, Across="case", workload_rate="40k")
    assert keys(window, "ArrowDown", "ArrowDown")[0].startswith("busypoll: ")
    assert window.js("return document.querySelector('#log-y').disabled")
    choose(window, Chart="Distribution")
    assert keys(window, "ArrowRight", "ArrowRight")[0] == "90 % answered within"
    assert "runs [" in keys(window, "ArrowRight")[1]


def test_zoom_by_mouse_keys_and_buttons(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    choose(window, Chart="Distribution")
    window.js("document.querySelector('#live-chart').scrollIntoView({block: 'center'})")
    whole = ticks(window, "x"), ticks(window, "y")
    left, top, width, height = window.js(PLOT)
    window.drag((left + width * 0.25, top + height * 0.25), (left + width * 0.5, top + height * 0.75))
    across, up = ticks(window, "x"), ticks(window, "y")
    assert up == pytest.approx([0.25, 0.75], abs=0.02)
    assert whole[0][0] < across[0] < across[1] < whole[0][1]
    window.point(left + width * 0.5, top + height * 0.5)
    assert str(window.js(TIP)).startswith(("49.", "50"))
    keys(window, "+")
    assert ticks(window, "y")[1] - ticks(window, "y")[0] == pytest.approx(0.6 * (up[1] - up[0]), rel=0.01)
    keys(window, "0")
    assert (ticks(window, "x"), ticks(window, "y")) == whole
    window.js("document.querySelector('[data-zoom=in]').click()")
    assert ticks(window, "x") != whole[0]
    window.js("document.querySelector('[data-zoom=whole]').click()")
    assert ticks(window, "x") == whole[0]


def test_axes_by_logarithm_or_not(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    assert window.js("return [document.querySelector('#log-x').checked, document.querySelector('#log-y').checked]") == [
        False,
        True,
    ]
    window.js("document.querySelector('#log-y').click()")
    assert ticks(window, "y")[0] == 0
    window.js("document.querySelector('#log-x').click()")
    low, high = ticks(window, "x")
    assert 0 < low < 10_000 < 100_000 < high


def test_cases_off_are_neither_read_nor_saved(window: Browser, files: dict[str, Path], downloads: Path) -> None:
    opened(window, files["sweep"])
    window.js("document.querySelector('[data-toggle=\"0\"]').click()")
    assert [line.split(":")[0] for line in keys(window, "ArrowRight")[1:]] == list(pages.CASES)[1:]
    rows = list(csv.DictReader(saved(window, downloads, "csv").decode().splitlines()))
    assert {row["case"] for row in rows} == set(pages.CASES) - {"base"}
    assert len(rows) == 9
    table = "document.querySelector('#live details').open = true; return new Promise(done => setTimeout(() => done("
    table += "document.querySelectorAll('#live-numbers tbody tr').length), 100))"
    assert window.js(table) == 9


def test_pictures_to_take_away(window: Browser, files: dict[str, Path], downloads: Path) -> None:
    opened(window, files["sweep"])
    for chart, words in (("CPU cost against p99", "busypoll"), ("Tail of the distribution", "0.1 %")):
        choose(window, Chart=chart)
        svg = ET.fromstring(saved(window, downloads, "svg"))
        texts = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert texts[0].startswith(chart)
        assert words in texts
        png = saved(window, downloads, "png")
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(png[16:20]) == 1920


def test_the_time_series_of_any_run(window: Browser, files: dict[str, Path], downloads: Path) -> None:
    opened(window, files["sweep"])
    window.js("document.querySelectorAll('.runs [data-run]')[1].click()")
    run = "return document.querySelector('#answers [data-question=Run]').value"
    first = window.js(run)
    rows = list(csv.DictReader(saved(window, downloads, "csv").decode().splitlines()))
    heads = window.js("return [...document.querySelectorAll('.runs thead th')].map(h => h.textContent)")
    at = heads.index("max, µs")
    greatest = window.js(f"return document.querySelectorAll('.runs tbody tr')[1].cells[{at}].textContent")
    assert max(float(row["greatest, us"]) for row in rows) == pytest.approx(float(greatest.replace(",", "")), rel=0.01)
    window.js("document.querySelector('#answers [data-question=next]').click()")
    assert window.js(run) != first
    assert keys(window, "ArrowRight")[1].startswith("median ")


def test_hostile_names_stay_text_in_what_is_saved(window: Browser, files: dict[str, Path], downloads: Path) -> None:
    opened(window, files["hostile"])
    title = window.js("return document.title")
    svg = ET.fromstring(saved(window, downloads, "svg"))
    assert {part.tag.rpartition("}")[2] for part in svg.iter()} <= {"svg", "g", "path", "text", "clipPath", "rect"}
    rows = list(csv.DictReader(saved(window, downloads, "csv").decode().splitlines()))
    assert any("<img src=x" in row["case"] for row in rows)
    assert "<img src=x" in "".join(keys(window, "ArrowDown", "ArrowDown"))
    assert window.js("return document.title") == title
    assert window.complaints() == []


def test_two_hundred_cells_of_ten_thousand_runs(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["wide"])
    assert files["wide"].stat().st_size < 3_000_000
    assert window.js("return document.querySelectorAll('.runs tbody tr').length") == 2000
    choose(window, Across="case", workload_rate="100k")
    assert len(window.js("return [...document.querySelectorAll('.legend [data-toggle]')]")) == 20
    assert keys(window, "ArrowDown")[0].startswith("base: ")
    # Every case at every load has its verdict, in sight or behind the fold.
    assert window.js("return document.querySelectorAll('.every tbody th[scope=row]').length") == 190


def test_a_phone_shows_the_verdict_first(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"], PHONE)
    for table in (".every", "#s0-cells table"):
        assert window.js(f"return document.querySelector('{table} thead th').textContent") == "verdict"
        edge = f"document.querySelector('{table} tbody .badge').getBoundingClientRect().right"
        assert window.js(f"return {edge}") < PHONE[0]
    window.js("document.querySelector('#live-chart').scrollIntoView()")
    assert window.js("return document.querySelector('#live-chart canvas').clientWidth") <= PHONE[0]


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: tools/npm-files.sh axe (by npm)")
@pytest.mark.parametrize(
    ("name", "size", "dark"), [("sweep", WIDE, False), ("hostile", PHONE, True), ("gallery", WIDE, False)]
)
def test_no_serious_fault_of_accessibility(
    window: Browser, files: dict[str, Path], name: str, size: tuple[int, int], dark: bool
) -> None:
    opened(window, files[name], size, dark=dark)
    # What lies behind folds counts as well.
    window.js("for (const fold of document.querySelectorAll('details')) fold.open = true")
    window.devtools("Runtime.evaluate", expression=AXE.read_text())
    report = window.js(
        "return axe.run({exclude: ['.runs tr:nth-child(n+4)']}, {resultTypes: ['violations']}).then(r =>"
        " JSON.stringify(r.violations.map(v =>"
        " [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + n.failureSummary)])))"
    )
    serious = [fault for fault in json.loads(report) if fault[0] in ("serious", "critical")]
    assert serious == []
