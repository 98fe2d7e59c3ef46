"""What every test gets: a check that it left the host as it found it, and an account of each tier at the end.

A tier is a directory: unit (no privilege, a fake kernel), chromium (pages in a real browser), netns (root, real links),
vm (guests of the real image, in QEMU), and house, the files directly under tests/. A tier that was skipped whole tells
why; where CI=true it fails the session, because a check that never runs protects nobody.

With workers (pytest -n) tests/lanes.py says which worker takes which test; each worker checks what its own tests left.
"""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests import examples, lanes, remains
from tests.leaks import Snapshot, left_behind, own_temporary_directory, snapshot
from tests.timeline import Timeline
from tools import house

HERE = Path(__file__).parent
TIERS = ("house", "unit", "chromium", "netns", "vm")
ROOT_TIERS = ("netns",)
NEEDS_ROOT = "needs root: run make test, or sudo .venv/bin/python -m pytest"

# No test may hang the session: after this it fails, and again after each further grace, since what it is stuck in may
# be the clean-up that the first failure set off.
HANGS_AFTER_S = 300
GRACE_S = 10
# A guest is emulated, and the first test that wants one builds the image; hosts of a fleet compute for a minute in some
# tests, and may have a tenth of a busy machine; a benchmark takes as long as its rounds do.
_LIMITS_S = {"vm": 900, "netns": 900, "bench": 1800}

examples.register()


def tier_of(path: Path) -> str:
    """The tier of a test file: the directory directly under tests/ that it lies in."""
    parts = path.relative_to(HERE).parts
    return parts[0] if len(parts) > 1 else "house"


def _tier_of_test(nodeid: str) -> str:
    return tier_of(HERE.parent / nodeid.split("::")[0])


class Tiers:
    """Counts outcomes per tier, tells them at the end, fails a CI session in which a tier passed nothing."""

    def __init__(self, config: pytest.Config) -> None:
        self.strict = os.environ.get("CI", "").lower() in ("1", "true", "yes")
        whole_suite = config.args_source == pytest.Config.ArgsSource.TESTPATHS
        self.outcomes: dict[str, Counter[str]] = {tier: Counter() for tier in TIERS if whole_suite}
        self.reasons: dict[str, Counter[str]] = {}
        self.figures = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # The quick tiers first: who broke a rule of the house need not wait for real links. Within a tier the files
        # that take long come first, so that of several workers none has to begin one when the others are done.
        order = {tier: place for place, tier in enumerate(TIERS)}
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (order.get(tier_of(item.path), len(TIERS)), item.path not in long))
        for item in items:
            tier = tier_of(item.path)
            self.outcomes.setdefault(tier, Counter())
            if tier != "house":
                item.add_marker(getattr(pytest.mark, tier))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # The report of a worker that crashed has no properties.
        tier = _tier_of_test(report.nodeid)
        self.outcomes.setdefault(tier, Counter())
        self.figures = str(dict(getattr(report, "user_properties", ())).get(house.FIGURES, self.figures))
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[tier][report.outcome] += 1
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self.reasons.setdefault(tier, Counter())[reason] += 1

    def empty_tiers(self) -> list[str]:
        """The tiers that proved nothing: not one passed test."""
        return [tier for tier in self.outcomes if tier in TIERS and not self.outcomes[tier]["passed"]]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.strict and self.empty_tiers() and not session.config.option.collectonly:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("tiers")
        for tier, counts in self.outcomes.items():
            told = ", ".join(f"{counts[key]} {key}" for key in ("passed", "failed", "skipped") if counts[key])
            terminalreporter.line(f"{tier:<8} {told or 'no test'}")
            if tier == "house" and self.figures:
                terminalreporter.line(f"       {self.figures}")
            for reason, times in self.reasons.get(tier, Counter()).most_common():
                terminalreporter.line(f"       skipped {times}: {reason}")
        if self.strict and not terminalreporter.config.option.collectonly:
            for tier in self.empty_tiers():
                terminalreporter.line(f"{tier}: no test passed, which fails a CI session", red=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The words that tests/timeline.py knows."""
    parser.addoption("--timeline", metavar="FILE", help="write where each test ran, when, and its CPU time")


def pytest_configure(config: pytest.Config) -> None:
    """Set the stage: the accounts of tiers and time, signals as a user's shell has them, the worker's place."""
    config.pluginmanager.register(Tiers(config), "pollbench-tiers")
    config.pluginmanager.register(Timeline(config.getoption("--timeline"), _tier_of_test), "pollbench-timeline")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(lanes, "pollbench-lanes")
    _no_signal_ignored()
    remains.end_as_by_ctrl_c()
    if (worker := os.environ.get("PYTEST_XDIST_WORKER")) is not None:
        lanes.start_worker(worker)


def _no_signal_ignored() -> None:
    """Give the programs that tests start the signals' default actions, even where we were told to ignore them.

    A shell starts its background jobs with SIGINT ignored, and nohup ignores SIGHUP; both are inherited, and pollbench
    leaves ignored what it finds so. A handler that does nothing ignores the signal here, and is not inherited.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Have no garbage looked for among the modules and the tests: they stay to the end, and are most of what there is.

    To look through them again and again takes a third of the time that they take to be loaded.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs root, before any fixture of it runs."""
    if tier_of(item.path) in ROOT_TIERS and os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fail a test that hangs, wherever it waits."""
    limit_s = _LIMITS_S.get(tier_of(item.path), HANGS_AFTER_S) * examples.examples(1)

    def give_up(number: int, frame: FrameType | None) -> None:
        # Without pytest's own account: of a place without a line, as Python 3.11 has some, it ends the session.
        where = "".join(traceback.format_stack(frame, limit=8))
        pytest.fail(f"still running after {limit_s} s, at:\n{where}", pytrace=False)

    found = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit_s, GRACE_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, found)


@pytest.fixture
def require_root() -> None:
    """Skip the test, with the reason, unless we are root. Tests in netns/ need not ask."""
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)


def _must_be_clean(before: Snapshot, who: str) -> None:
    if left := left_behind(before):
        pytest.fail(f"{who} left the host changed: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True, scope="session")
def host_as_found_by_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Catch what a fixture of wider scope leaves, which no single test can be blamed for."""
    # pytest's own are in the common directory; it removes them where all tests passed.
    tmp_path_factory.getbasetemp()
    remains.sweep()
    with own_temporary_directory():
        before = snapshot()
        yield
        _must_be_clean(before, "the session")


@pytest.fixture(autouse=True)
def host_as_found(host_as_found_by_session: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves anything on the host, naming it. Costs about a millisecond."""
    before = snapshot()
    yield
    _must_be_clean(before, request.node.name)
