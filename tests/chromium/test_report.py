"""The report in a real browser: renders without a complaint, reacts, fits a phone, follows light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Browser
from tests.chromium.conftest import PHONE, WIDE, opened

SHOWN = "return [...document.querySelectorAll('.runs tbody tr')].filter(row => !row.hidden)"


@pytest.mark.parametrize("name", ["sweep", "hostile", "single", "empty", "skipped", "wide", "gallery"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_renders_without_complaint_and_without_scrolling_sideways(
    window: Browser, files: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    opened(window, files[name], size)
    assert window.js("return document.documentElement.scrollWidth") <= size[0]
    assert window.js("return document.title").endswith(("pollbench report", "pollbench gallery"))
    # Nothing sticks out but what scrolls in a box of its own.
    out = window.js(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, .sr')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))"
    )
    assert out == []


def test_hostile_names_do_nothing(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["hostile"])
    assert "<img src=x" in window.js("return document.querySelector('h1').textContent")
    assert window.js("return document.querySelectorAll('img, main b, iframe').length") == 0
    assert window.js("return document.scripts.length") == 3
    # Even an element that was smuggled in could run nothing: the policy allows one script, by its hash.
    window.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
    assert window.js("return document.title").endswith(("pollbench report", "pollbench gallery"))
    assert "Content Security Policy" in " ".join(window.complaints())


def test_filtering_runs(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    count = "return document.querySelector('.count').textContent"
    assert (window.js(f"{SHOWN}.length".replace("return", "return ")), window.js(count)) == (100, "144 runs")
    window.js("document.querySelector('.more button, .runlist .more').click()")
    assert window.js(f"{SHOWN}.length") == 144
    typed = "const f = document.querySelector('.find'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    window.js(typed, "suspend20 40k")
    assert window.js(f"{SHOWN}.length") == 12
    assert window.js(count) == "12 of 144 runs"
    window.js(typed, "")
    window.js("const p = document.querySelector('.pick-case'); p.value = 'base'; p.dispatchEvent(new Event('input'))")
    assert set(window.js(f"{SHOWN}.map(row => row.dataset.case)")) == {"base"}
    window.js(typed, "nothing like it")
    assert window.js(count) == "0 of 144 runs"


def test_sorting_runs_by_mouse_and_keyboard(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    heads = window.js("return [...document.querySelectorAll('.runs thead th')].map(h => h.textContent)")
    at = heads.index("p99, µs")
    column = f"{SHOWN}.map(row => row.cells[{at}].textContent)"
    click = f"document.querySelectorAll('.runs thead .sort')[{at}].click()"
    window.js(click)
    rising = [float(text.replace(",", "")) for text in window.js(column)]
    assert rising == sorted(rising)
    assert window.js(f"return document.querySelectorAll('.runs thead th')[{at}].ariaSort") == "ascending"
    window.js(f"document.querySelectorAll('.runs thead .sort')[{at}].focus()")
    window.press("Enter")
    falling = [float(text.replace(",", "")) for text in window.js(column)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > rising[0]
    window.js(f"document.querySelectorAll('.runs thead .sort')[{heads.index('case')}].click()")
    cases = window.js(f"{SHOWN}.map(row => row.dataset.case)")
    assert cases == sorted(cases)


def test_switching_a_case_off_everywhere(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    visible = "return document.querySelectorAll('main .k[data-k=\"0\"]:not(.off)').length"
    before = window.js(visible)
    assert before > 10
    window.js("document.querySelector('[data-toggle=\"0\"]').click()")
    assert window.js(visible) == 0
    assert window.js("return document.querySelector('[data-toggle=\"0\"]').ariaPressed") == "false"
    window.js("document.querySelector('[data-toggle=\"0\"]').click()")
    assert window.js(visible) == before


def test_the_heat_map_shows_another_figure(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    shown = "return [...document.querySelectorAll('[data-heat-of]')].filter(e => !e.hidden).map(e => e.dataset.heatOf)"
    assert window.js(shown) == ["rtt_p99_us"]
    window.js("document.querySelector('[data-heat=cpu_us_per_request]').click()")
    assert window.js(shown) == ["cpu_us_per_request"]


def test_light_and_dark_follow_the_system_until_chosen(window: Browser, files: dict[str, Path]) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    ink = "return getComputedStyle(document.body).color"
    opened(window, files["sweep"])
    light = (window.js(paper), window.js(ink))
    opened(window, files["sweep"], dark=True)
    dark = (window.js(paper), window.js(ink))
    assert _brightness(light[0]) > 0.9 > 0.2 > _brightness(light[1])
    assert _brightness(dark[0]) < 0.2 < 0.8 < _brightness(dark[1])
    window.js("document.querySelector('[data-theme-choice=light]').click()")
    assert window.js(paper) == light[0]
    # Kept for the next time, and given up again.
    opened(window, files["sweep"], dark=True)
    assert window.js(paper) == light[0]
    window.js("document.querySelector('[data-theme-choice=system]').click()")
    assert window.js(paper) == dark[0]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_their_background(window: Browser, files: dict[str, Path], dark: bool) -> None:
    opened(window, files["sweep"], dark=dark)
    # Solid backgrounds only: the tinted ones are nearly the page's own.
    pairs = window.js("""
        const solid = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (/^rgb\\(/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
        const seen = {};
        for (const e of document.querySelectorAll('main *, nav *'))
            if ([...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
                && e.checkVisibility() && !e.closest('svg, .sr'))
                seen[`${getComputedStyle(e).color}|${solid(e)}`] = e.outerHTML.slice(0, 100);
        return seen""")
    assert len(pairs) > 5
    weak = {where: contrast for pair, where in pairs.items() if (contrast := _contrast(*pair.split("|"))) < 4.5}
    assert weak == {}


def test_charts_answer_to_arrow_keys(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    window.js("document.querySelector('#s0-distribution svg.chart').focus()")
    window.press("ArrowRight")
    told = window.js("return document.querySelector('#tip').textContent").splitlines()
    assert told[0] == "50 % answered within"
    assert [line.split(":")[0] for line in told[1:]] == ["base", "busypoll", "defer20", "suspend20"]
    # What is read off the curve is what the table says, to the width of a line.
    said = {line.split(": ")[0]: float(line.split(": ")[1].split()[0]) for line in told[1:]}
    rows = window.js(
        "return [...document.querySelectorAll('#s0-distribution tbody tr')].slice(0, 4)"
        ".map(r => [r.cells[0].textContent, Number(r.cells[2].textContent)])"
    )
    for case, median in rows:
        assert said[case] == pytest.approx(median, rel=0.03)
    window.press("Escape")
    assert window.js("return document.querySelector('#tip').hidden")
    window.js("document.querySelector('#s0-trade svg.chart').focus()")
    window.press("ArrowRight")
    assert "per request" in window.js("return document.querySelector('#tip').textContent")


def test_every_control_can_be_reached_and_is_named(window: Browser, files: dict[str, Path]) -> None:
    opened(window, files["sweep"])
    unnamed = window.js(
        "return [...document.querySelectorAll('button, select, input, a, [tabindex]')].filter(e =>"
        " !(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label')?.textContent.trim()))"
        ".map(e => e.outerHTML.slice(0, 120))"
    )
    assert unnamed == []
    window.js("document.querySelector('.skip').focus()")
    assert window.js("return document.querySelector('.skip').getBoundingClientRect().left") >= 0


def test_without_script_every_chart_and_row_is_there(window: Browser, files: dict[str, Path]) -> None:
    window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.open(files["sweep"])
        found = window.devtools("DOMSnapshot.captureSnapshot", computedStyles=["display"])
    finally:
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)
    names = found["strings"]
    layout = found["documents"][0]["layout"]
    shown = {names[at] for at in layout["text"] if at >= 0}
    assert {"Latency distributions", "share of requests slower", "✓"} <= shown
    assert "previous" not in shown


def _rgb(color: str) -> list[float]:
    return [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]


def _brightness(color: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_brightness(one), _brightness(other)))
    return (light + 0.05) / (dark + 0.05)
