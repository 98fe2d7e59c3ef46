"""What differs between the experiments of two sets, which checks were loosened, and what is never pooled."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness import report
from harness.analysis.compare import Options, compare_cases, compare_sources
from harness.analysis.summary import overview
from harness.tables import Source, load_source
from tests.unit.synthetic import source


def changed(case: str = "", order: str = "", **sections: Any) -> Source:
    """The made-up set, with sections of its cells' documents (of one case, or of all) replaced."""
    made = source()
    plan = deepcopy(made.plan)
    for cell in plan["cells"]:
        if case in ("", cell["case"]):
            cell["document"] |= sections
    return replace(made, label="other", plan=plan | ({"order": order} if order else {}))


def keys(one: Source, other: Source) -> dict[str, tuple[str, ...]]:
    return {item.key: item.values for item in compare_sources([one, other]).experiments}


def verdict(*sources: Source) -> str:
    return " ".join(compare_sources(sources).verdict)


def test_equal_experiments_have_no_difference_and_say_so() -> None:
    assert keys(source(), changed()) == {}
    assert "No difference of host, kernel, datapath or experiment is on record" in verdict(source(), changed())


def test_a_knob_that_one_side_adds_is_named_and_is_no_silence() -> None:
    added = changed(settings={"*": {"busy_poll": {"usecs": 50, "budget": 8}}}, case="base")
    assert keys(source(), added) == {
        "settings.*.busy_poll.usecs": ("not set", "50"),
        "settings.*.busy_poll.budget": ("not set", "8"),
    }
    assert "On record they differ in settings.*.busy_poll alone" in verdict(source(), added)
    text = report.compare(compare_sources([source(), added]), "text")
    where = "(in base at contention.load=0%, base at contention.load=100%)"
    assert f"settings.*.busy_poll.usecs: not set -> 50 {where}" in " ".join(text.split())
    assert text.index("busy_poll.usecs") < text.index("Runs of A")


def test_another_topology_is_listed_key_by_key_and_is_other_work() -> None:
    links = [{"between": ["client", "r1"], "mtu": 9000}, {"between": ["r1", "server"], "shape": {"rate": "10mbit"}}]
    nodes: dict[str, Any] = {"client": {}, "r1": {}, "server": {}}
    other = changed(topology={"datapath": "napi", "nodes": nodes, "links": links})
    differences = keys(source(), other)
    assert differences["topology.links[client-r1].mtu"] == ("not set", "9000")
    assert differences["topology.links[r1-server].shape.rate"] == ("not set", "10mbit")
    assert differences["topology.links[client-server]"] == ("there", "not set")
    assert differences["topology.nodes.r1"] == ("not set", "{}")
    assert "They did not do the same work (topology)" in verdict(source(), other)


@pytest.mark.parametrize(
    ("section", "value", "key"),
    [
        ("workload", {"kind": "ping-pong", "from": "client", "to": "server", "size": "1400B"}, "workload.size"),
        ("contention", {"kind": "spin", "cpus": "1", "load": "0%", "policy": "fifo"}, "contention.policy"),
        ("checks", {"max_lost_share": "5%"}, "checks.max_lost_share"),
        ("workloads", {"bulk": {"kind": "iperf3"}}, "workloads.bulk.kind"),
    ],
)
def test_every_section_counts(section: str, value: dict[str, Any], key: str) -> None:
    other = changed("", "", **{section: value})
    assert key in keys(source(), other)
    assert "No difference" not in verdict(source(), other)
    assert "alone" not in verdict(source(), other) or len(keys(source(), other)) == 1


def test_the_order_of_the_runs_counts() -> None:
    assert keys(source(), changed(order="sequential")) == {"order": ("blocks", "sequential")}


def test_a_side_that_does_not_say_what_it_was_is_unknown() -> None:
    table = replace(source(), label="table.csv", plan={})
    assert "B does not say what was measured" in verdict(source(), table)
    assert "is unknown" in verdict(source(), table)
    assert "A and B do not say what was measured" in verdict(table, table)
    for sides in ((source(), table), (table, table)):
        assert "No difference" not in verdict(*sides)
        assert "alone" not in verdict(*sides)
    three = compare_sources([source(), changed(checks={"max_lost_share": "5%"}), table])
    assert three.experiments[0].values == ("not set", "5%", "")
    assert "checks.max_lost_share: not set -> 5% -> unknown" in report.compare(three, "markdown").replace("\\", "")


def test_sets_without_a_cell_in_common_are_not_alike() -> None:
    one, other = source(), source()
    plan = deepcopy(other.plan)
    for cell in plan["cells"]:
        cell["case"] += "2"
    renamed = replace(other, runs=other.runs.assign(case=other.runs["case"] + "2"), plan=plan)
    assert "No cell is on more than one side" in verdict(one, renamed)
    assert "No difference" not in verdict(one, renamed)


def test_loosened_checks_are_in_heading_findings_and_differences() -> None:
    loose = changed(checks={"max_steal_share": "100%", "max_lost_share": "0.5%"})
    found = compare_sources([source(), loose])
    text = " ".join(report.compare(found, "text").split())
    changed_line = "Checks differ: max_steal_share not set -> 100%, max_lost_share not set -> 0.5%"
    loose_line = "Checks looser than their defaults in B: max_steal_share 100% (default 2 %): runs count"
    for line in (changed_line, loose_line):
        assert text.count(line) == 2
        assert text.index(line) < text.index("RTT p50")
    assert "checks.max_steal_share: not set -> 100%" in text
    assert changed_line in " ".join(report.compare(found, "kernel").split())
    assert any("max_steal_share 100% (default 2 %)" in warning for warning in overview(loose).warnings)
    assert not any("looser" in warning for warning in overview(source()).warnings)


def test_checks_that_cells_loosen_one_by_one_are_all_told() -> None:
    made = changed(case="base", checks={"max_steal_share": "100%"})
    for cell in made.plan["cells"]:
        if cell["case"] == "defer20":
            cell["document"]["checks"] = {"max_lost_share": "50%"}
    (warning,) = [text for text in overview(made).warnings if "looser" in text]
    assert "max_steal_share 100% (default 2 %)" in warning and "max_lost_share 50% (default 1 %)" in warning


def test_a_case_that_loosens_checks_is_named() -> None:
    found = compare_cases(changed(case="defer20", checks={"verify_links": "off"}), "base")
    assert found.limits[0].startswith("Checks differ: verify_links not set -> off in defer20:")
    assert "verify_links off (default first)" in found.limits[1]
    assert compare_cases(source(), "base").limits == ()


def written(path: Path, **columns: list[Any]) -> Source:
    pd.DataFrame(columns).to_csv(path, index=False)
    return load_source(path)


def test_sizes_and_protocols_are_split_and_named(tmp_path: Path) -> None:
    made = written(
        tmp_path / "mixed.csv",
        case=["base", "x"] * 10,
        workload_size_bytes=[64] * 10 + [1400] * 10,
        workload_protocol=["udp"] * 20,
        rtt_p50_us=[50.0 + at % 5 for at in range(10)] + [80.0 + at % 5 for at in range(10)],
    )
    found = compare_cases(made, "base")
    assert [dict(row.factors) for row in found.rows] == [{"workload_size_bytes": "64"}, {"workload_size_bytes": "1400"}]
    assert any("workload_size_bytes (64, 1400): never pooled" in note for note in found.notes)
    both = compare_sources([made, made])
    assert {dict(row.factors)["workload_size_bytes"] for row in both.rows} == {"64", "1400"}
    assert {cell.median("rtt_p50_us") for cell in overview(made).cells} == {52.0, 82.0}
    asked = compare_cases(made, "base", Options(by=("case",)))
    assert any("are pooled" in note for note in asked.notes)


def test_kernels_that_one_side_mixes_are_named() -> None:
    made = source()
    newer = made.runs.assign(kernel="6.18")
    mixed = made.runs.assign(kernel=["6.12" if block % 2 else "6.18" for block in made.runs["block"]])
    sides = [replace(made, runs=mixed), replace(made, runs=newer)]
    found = " ".join(compare_sources(sides).verdict)
    assert "A mixes kernel 6.18 and 6.12: runs of different ones stand in one cell" in found
    assert "alone" not in found


def test_a_run_counts_once_however_often_it_is_there(tmp_path: Path) -> None:
    ids = ["a", "b", "c", "d", "e"]
    made = written(tmp_path / "dup.csv", run_id=ids * 3, case=["x"] * 15, rtt_p50_us=[1.0, 2, 3, 4, 5] * 3)
    assert len(made.runs) == 5
    (finding,) = made.warnings
    assert finding == "in dup.csv, 5 runs are in the table more than once (a, b, c and 2 more): each counts once"
    odd = written(tmp_path / "odd.csv", run_id=["a", "a", "b"], case=["x"] * 3, rtt_p50_us=[1.0, 9.0, 2.0])
    assert odd.runs["rtt_p50_us"].tolist() == [1.0, 2.0]
    assert any("rows of one run_id do not agree (a): the first counts, 1 row was left out" in w for w in odd.warnings)
    # The same plan on two machines gives the same names: those are two runs.
    two = written(tmp_path / "two.csv", run_id=["a", "a"], case=["x"] * 2, machine=["m", "n"], rtt_p50_us=[1.0, 2.0])
    assert (len(two.runs), two.warnings) == (2, ())


def test_known_times_are_converted_and_others_named(tmp_path: Path) -> None:
    one = written(tmp_path / "a.csv", case=["x"] * 5, rtt_p99_us=[39.0, 40, 41, 42, 43])
    other = written(tmp_path / "b.csv", case=["x"] * 5, rtt_p99_ms=[0.0285, 0.031, 0.029, 0.0295, 0.03])
    assert other.warnings == ("in b.csv, column rtt_p99_ms is read as rtt_p99_us, times 1000",)
    (row,) = compare_sources([one, other]).rows
    assert row.change.test.median == pytest.approx(29.5)
    assert row.change.outcome == "lower"
    ours = written(tmp_path / "c.csv", case=["x"] * 5, my_wait_us=[1.0, 2, 3, 4, 5])
    theirs = written(tmp_path / "d.csv", case=["x"] * 5, my_wait_ms=[1.0, 2, 3, 4, 5])
    both = compare_sources([ours, theirs])
    assert [(row.metric, row.change.test.median) for row in both.rows] == [("my_wait_us", 3000)]
    assert both.warnings == (f"column my_wait_ms of {theirs.label} is compared as my_wait_us, times 1000",)
    tail = written(tmp_path / "e.csv", case=["x"] * 5, rtt_p50_us=[1.0, 2, 3, 4, 5])
    notes = {row.metric: row.change.note for row in compare_sources([one, tail]).rows}
    assert notes["rtt_p99_us"] == "B has no rtt_p99_us"


def test_a_setting_with_a_unit_in_its_name_is_not_pooled(tmp_path: Path) -> None:
    def campaign(name: str, off: int, on: int) -> Source:
        times = [40.0 + at % 3 for at in range(off)] + [16.0 + at % 3 / 10 for at in range(on)]
        return written(
            tmp_path / name,
            case=["echo"] * (off + on),
            busy_poll_us=[0] * off + [50] * on,
            wait_us=[7.0 + at for at in range(off + on)],
            rtt_p50_us=times,
        )

    found = compare_sources([campaign("one.csv", 9, 5), campaign("two.csv", 5, 9)])
    ratios = {row.factors: row.change.ratio.value for row in found.rows if row.change.ratio}
    assert ratios == {
        (("busy_poll_us", "0"),): pytest.approx(1, abs=0.03),
        (("busy_poll_us", "50"),): pytest.approx(1, abs=0.03),
    }
    assert [one.guesses for one in found.readings] == [["busy_poll_us: 2 round values that repeat"]] * 2
    # What was measured, with values that repeat by chance, stays a figure.
    waits = written(tmp_path / "wait.csv", case=["x"] * 6, wait_us=[1, 1, 2, 2, 3, 3])
    assert [row.factors for row in compare_sources([waits, waits]).rows] == [()]
