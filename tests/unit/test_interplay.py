"""The table of which knob acts beside which: every knob in it, the page in step with what is kept."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

from harness.knobs import KNOBS
from harness.spec.load import load_experiment
from tests import experiment
from tools import interplay


def test_every_knob_has_a_setting_to_try(tmp_path: Path) -> None:
    assert set(interplay.SAMPLES) == set(KNOBS) - interplay.UNTOLD
    for place in interplay.PLACES:
        path = experiment.write(tmp_path, **interplay.document(place))
        count = len(load_experiment(path, guest=place != "veth").cells)
        names = [name for name in interplay.SAMPLES if place != "veth" or name not in interplay.ON_NICS_ONLY]
        assert count == len(names) * (len(names) + 1) / 2


def test_the_page_shows_what_is_kept() -> None:
    rows = interplay.kept()
    assert interplay.page(rows) == interplay.PAGE.read_text(), "run: python -m tools.interplay"
    places = {row.place for row in rows}
    assert "veth" in places <= set(interplay.PLACES)
    for place in places:
        names = [name for name in interplay.SAMPLES if place != "veth" or name not in interplay.ON_NICS_ONLY]
        pairs = {(row.knob, row.beside) for row in rows if row.place == place}
        assert pairs == {*((name, "") for name in names), *permutations(names, 2)}


def test_an_answer_is_of_the_rows_that_had_something_to_do() -> None:
    def row(took: bool | None, evidence: str) -> dict[str, object]:
        return {"knob": "rps", "took_effect": took, "evidence": evidence}

    run = {"case": "rps-and-process", "environment": {"kernel": "6"}, "reasons": ["failed: no such thing"], "knobs": []}
    assert {one.answer for one in interplay.answers("veth", [run])} == {"cannot be"}
    run["knobs"] = [row(False, interplay.ALREADY_SO), row(None, "nothing tells")]
    assert [one.answer for one in interplay.answers("veth", [run])] == ["cannot be", "unknown"]
    run["knobs"] += [row(False, "0 steered"), row(True, "9 steered")]
    (last,) = (one for one in interplay.answers("veth", [run]) if one.knob == "rps")
    assert (last.beside, last.answer, last.evidence) == ("process", "yes", "9 steered")
