"""One browser for all tests of pages, and the pages; a machine without Chromium skips the tier and says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.analysis.compare import compare_cases
from harness.analysis.curves import load_study
from harness.analysis.summary import overview
from harness.report.html import page
from tests.browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from tests.unit import pages, test_gallery

WIDE, PHONE = (1280, 900), (390, 844)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them all where there is nothing to look at pages with."""
    if CHROMIUM and DRIVER:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts what a page saves."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Browser]:
    """One browser for all tests: starting one takes a second."""
    with browser(tmp_path_factory.mktemp("browser") / "profile") as started:
        started.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        yield started


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a load sweep of 144 runs, of hostile names, of one run, of none, of 200 cells with 10,000 runs."""
    base = tmp_path_factory.mktemp("reports")
    sets = {
        "sweep": pages.load_sweep(base / "1", blocks=12, count=1500, rates=(10, 40, 100)).path,
        "hostile": pages.hostile(base / "2").path,
        "single": pages.bare(base / "3").path,
        "empty": pages.bare(base / "4", runs=0).path,
        "skipped": pages.bare(base / "5", "skipped", 3).path,
        "wide": pages.wide(base / "wide.csv"),
    }
    for name, path in sets.items():
        study = load_study(path)
        view = overview(study.source)
        compared = compare_cases(study.source, view.baseline) if name == "sweep" else None
        (base / f"{name}.html").write_text(page([(study, view)], compared))
    source = test_gallery.files(base)
    test_gallery.measured(base, source)
    test_gallery.gallery(base, source)
    shutil.copy(base / "out" / "gallery.html", base / "gallery.html")
    return {name: base / f"{name}.html" for name in (*sets, "gallery")}


def opened(window: Browser, file: Path, size: tuple[int, int] = WIDE, *, dark: bool = False) -> Browser:
    """The page in a window of that size; whatever it complained of is a failure."""
    window.window(*size, dark=dark, touch=size == PHONE)
    window.open(file)
    assert window.complaints() == []
    return window
