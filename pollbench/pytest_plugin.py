"""A plugin of pytest: with --pollbench an experiment file is a file of tests, one for each cell and each claim.

Without that option it collects nothing, changes nothing, and loads nothing of ours.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from harness.report.ci import CiTest, Doubts

_OURS = re.compile(rb"^(workload|topology):", re.MULTILINE)
_SET = re.compile(r"^results: (.+)$", re.MULTILINE)
_LACKS = 3
"""Exit code where a host lacks what the experiment needs."""


class NotShownError(Exception):
    """An experiment that did not come to what it claims, in words."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all under one heading of `pytest --help`."""
    group = parser.getgroup("pollbench", "experiments of pollbench as tests")
    text = "measure experiment files (*.yaml) as tests, a test for each cell and claim; most need root"
    group.addoption("--pollbench", action="store_true", help=text)
    text = "what is neither shown nor refuted: skip (default) or fail"
    group.addoption("--pollbench-doubts", choices=("skip", "fail"), default="skip", help=text)
    text = "options handed on to `pollbench run`, as one text: '--quick --set workload.duration=1s'"
    group.addoption("--pollbench-run", metavar="OPTIONS", default="", help=text)
    text = "judge the newest set of each experiment in this directory, and measure nothing"
    group.addoption("--pollbench-results", metavar="DIR", help=text)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """An experiment file, where --pollbench asks for them."""
    if not parent.config.getoption("--pollbench") or file_path.suffix not in (".yaml", ".yml"):
        return None
    if any((file_path.parent / name).exists() for name in ("plan.json", "runs.csv")):
        return None  # a result set's copy of its experiment
    if not file_path.is_file() or len(set(_OURS.findall(file_path.read_bytes()))) < 2:
        return None
    return cast("pytest.Collector", ExperimentFile.from_parent(parent, path=file_path))


class ExperimentFile(pytest.File):
    """An experiment: measured once, when the first of its tests runs."""

    tests: dict[str, CiTest] | None = None
    trouble: tuple[bool, str] = (False, "")
    """Whether the host lacks what it needs, and what kept it from being measured."""

    def collect(self) -> Iterable[pytest.Item]:
        """A test for each cell and claim. An error in the file is the collection's."""
        from harness.errors import PollbenchError
        from harness.report import words
        from harness.spec.load import load_experiment
        from harness.tables.frames import cell_key

        try:
            experiment = load_experiment(self.path, quick="--quick" in self._options())
        except PollbenchError as error:
            raise self.CollectError(error.line()) from None
        names = [words.cell(*cell_key(cell.case, cell.factors)) for cell in experiment.cells]
        for name in [*names, *(f"claim {claim}" for claim in experiment.claims)]:
            yield cast("pytest.Item", ExperimentTest.from_parent(self, name=name))

    def outcome(self, name: str) -> CiTest:
        """What became of a test; measures first where nothing was. Skips, or raises NotShownError, if that fails."""
        if self.tests is None and not self.trouble[1]:
            self._measure()
        lacks, why = self.trouble
        if why and lacks:
            pytest.skip(why)
        if why or self.tests is None or name not in self.tests:
            raise NotShownError(why or f"no run of it was made; there is {', '.join(self.tests or ())}")
        return self.tests[name]

    def _measure(self) -> None:
        from harness.analysis.claims import findings
        from harness.errors import PollbenchError
        from harness.report.ci import cells_and_claims
        from harness.tables.source import load_source

        place = self._newest() if self.config.getoption("--pollbench-results") else self._run()
        if self.trouble[1]:
            return
        try:
            source = load_source(place)
            self.tests = {test.name: test for test in cells_and_claims(source, findings(source))}
        except PollbenchError as error:
            self.trouble = (False, error.line())

    def _newest(self) -> str:
        from harness.spec.load import load_experiment

        name = load_experiment(self.path).name
        return str(Path(self.config.getoption("--pollbench-results")) / name)

    def _run(self) -> str:
        """Measure it in a process of its own, whose signals, umask and namespaces are none of pytest's."""
        base = self.config._tmp_path_factory.mktemp("pollbench")  # type: ignore[attr-defined]
        command = [sys.executable, "-m", "pollbench", "run", str(self.path), "--wait", "-o", str(base)]
        done = subprocess.run([*command, *self._options()], capture_output=True, text=True, check=False)
        if places := _SET.findall(done.stderr):
            return str(places[-1])
        said = done.stderr.strip() or f"exit code {done.returncode}"
        self.trouble = (done.returncode == _LACKS, said)
        return ""

    def _options(self) -> list[str]:
        try:
            return shlex.split(str(self.config.getoption("--pollbench-run")))
        except ValueError as error:
            raise self.CollectError(f"--pollbench-run: {error}") from None


class ExperimentTest(pytest.Item):
    """A cell, whose runs must all count, or a claim, which must hold."""

    def runtest(self) -> None:
        """Measure, unless that was done, and judge."""
        doubts = cast("Doubts", self.config.getoption("--pollbench-doubts"))
        test = cast("ExperimentFile", self.parent).outcome(self.name)
        ending = test.counted(doubts)
        if ending == "skipped":
            pytest.skip(test.why)
        if ending == "failed":
            raise NotShownError("\n".join((test.why, *test.detail)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """Our own words without a traceback; of anything else what pytest makes of it."""
        if isinstance(excinfo.value, NotShownError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **more)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file, and the test's name."""
        return self.path, None, self.name
