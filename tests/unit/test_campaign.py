"""The campaign sees what it is there to see: a planted mistake of each sort is counted, repeated and made small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.judge import Failure, Worker, judge, minimised
from tests.campaign.kinds import KINDS, Mutant, Sources, mutant

PLANTS = {
    "traceback": "raise KeyError('planted')",
    "exit code": "return 77",
    "escape": "sys.stdout.stream.write('\\x1b[2J'); return 0",
    "hang": "time.sleep(60)",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(tmp_path_factory.mktemp("campaign"))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"inventories"}))
def test_a_mutant_is_the_same_whenever_it_is_made(sources: Sources, kind: str) -> None:
    first = [(made.data, made.special, made.commands) for made in (mutant(sources, kind, seed) for seed in range(8))]
    second = [(made.data, made.special, made.commands) for made in (mutant(sources, kind, seed) for seed in range(8))]
    assert first == second
    assert len({data for data, _, _ in first}) > 4


@pytest.mark.slow
@pytest.mark.parametrize("sort", PLANTS)
def test_a_planted_mistake_is_seen(tmp_path: Path, sort: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`show` comes to grief where the file holds the word, and nowhere else."""
    plant = tmp_path / "sitecustomize.py"
    plant.write_text(
        "import sys, time, types\n"
        "module = types.ModuleType('harness.cli.show')\n"
        "def show(arguments):\n"
        "    if b'grief' in open(arguments.directory, 'rb').read():\n"
        f"        {PLANTS[sort]}\n"
        "    return 0\n"
        "module.show = show\n"
        "sys.modules['harness.cli.show'] = module\n"
    )
    monkeypatch.setattr("tests.campaign.judge.PLANTS", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # reports of the mistake go there
    path = tmp_path / "input"
    made = Mutant("sets", 1, path, b"line one\nmuch grief here\nline three\n", [["show", str(path)]])
    with Worker(2.0) as worker:
        failure = judge(worker, made)
        assert failure is not None and failure.sort == sort
        assert judge(worker, made, b"all is well") is None
        if sort != "hang":
            assert minimised(worker, made, failure) == b"grief"


def test_failures_are_the_same_by_sort_and_command() -> None:
    failure = Failure("traceback", "KeyError", ("show", "a"))
    assert failure.same(Failure("traceback", "KeyError", ("show", "b")))
    assert not failure.same(Failure("traceback", "KeyError", ("plan", "a")))
    assert not failure.same(Failure("traceback", "TypeError", ("show", "a"))) and not failure.same(None)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(60.0) as made:
        # Its process is started by its first command, which is to be before any test that looks for what is left.
        made.run(["completion", "bash"], None)
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["experiments", "tables", "sets", "imports", "journals"])
def test_a_few_mutants_of_each_kind_survive(sources: Sources, worker: Worker, kind: str) -> None:
    """Thousands do in `make campaign`; these few keep the frame honest."""
    failures = {seed: judge(worker, mutant(sources, kind, seed)) for seed in range(9000, 9003)}
    assert set(failures.values()) == {None}, failures
