"""A host of two that loses its power in the middle of an experiment: what is kept, what is said, what is made later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns import sshhosts
from tests.netns.test_fleet import MADE, line_of
from tests.netns.test_two_hosts import RUNS, await_that, check_set, experiment, look, the_set, until, words_of

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())


def dies_in_the_middle(bed: sshhosts.Bed, words: list[str]) -> dict[str, str]:
    """The server's host loses its power, and gets it back. What had been made, and when."""
    process = bed.start(*words)
    # Lines that come together are told as one, the last.
    said = until(process, rf"gen  [2-5]/{RUNS}")
    bed.hosts["dut"].kill()
    _, rest = process.communicate(timeout=120)
    said += rest
    assert process.returncode == 1, said
    assert "measure with the other end on dut" in line_of("gen", said)
    assert "unreachable" in line_of("dut", said)
    assert "runs are missing; with --resume" in said
    kept = {record.run_id: record.started_utc for record in the_set(bed.home).records()}
    assert 2 <= len(kept) < RUNS
    bed.hosts["dut"].boot()
    return kept


def test_what_a_host_that_dies_leaves_is_made_later(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=RUNS // 2, duration="200ms")
    with sshhosts.open_bed(tmp_path, ["gen", "dut"]) as bed:
        # A host that is gone takes the other's carrier with it, unless a switch is between them.
        bed.plug("gen", 1)
        bed.plug("dut", 2)
        kept = dies_in_the_middle(bed, [*words_of(bed), "--interval", "0.2"])
        bed.plug("dut", 2)
        before = look(bed)
        again = bed.pollbench(*words_of(bed), "--resume")
        assert again.returncode in MADE, again.stderr
        await_that(lambda: look(bed), before)
    results = the_set(tmp_path)
    made = {record.run_id: record.started_utc for record in results.records()}
    assert {name: made[name] for name in kept} == kept
    check_set(results, RUNS)
