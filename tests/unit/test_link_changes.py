"""From the changes that a file declares to states, phases and netlink messages; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.summary import overview
from harness.errors import InputError
from harness.report.layout import to_text
from harness.report.resultset import document
from harness.run.link_changes import phases_of
from harness.spec.link_changes import Course, LinkState
from harness.spec.load import load_experiment
from harness.spec.shape import Shape
from harness.spec.trace_file import FRAME_BYTES, TraceError, packed, parse_trace, unpacked
from harness.store.record import LinkPhase
from harness.tables.frames import frames
from harness.tables.source import Source
from harness.topology.link_changes import changes_of, undoing
from harness.topology.path_loss import round_trip_loss
from harness.topology.qdiscs import discs_of
from tests.beds import pair
from tests.unit import synthetic

MS = 10**6


def shape(**keys: Any) -> Shape:
    return Shape.model_validate(keys)


def course(every: str | None = None, **keys: Any) -> Course:
    changes = {key: keys.pop(key) for key in ("steps", "on_off", "trace_data") if key in keys}
    made = shape(**({"rate": "10mbit"} | keys), changes=changes | ({"every": every} if every else {})).course
    assert made is not None
    return made


def states(of: Course) -> list[tuple[float, int | None, bool]]:
    return [(moment.at_ns / MS, moment.state.rate_bps, moment.state.down) for moment in of.moments]


def test_steps_hold_until_the_next_and_a_flap_gives_back_what_was() -> None:
    found = course(steps=[{"at": "1s", "rate": "5mbit"}, {"at": "2s", "down": "200ms"}], every="4s")
    assert states(found) == [
        (0, 10**7, False), (1000, 5 * 10**6, False), (2000, 5 * 10**6, True), (2200, 5 * 10**6, False),
    ]  # fmt: skip
    assert found.phases == ("from 0s: 10mbit", "from 1s: 5mbit", "from 2s: down", "from 2.2s: 5mbit")
    spans = [(since // MS, until // MS, moment.phase) for since, until, moment in found.spans(6500 * MS)]
    assert spans[3:] == [(2200, 4000, 3), (4000, 5000, 0), (5000, 6000, 1), (6000, 6200, 2), (6200, 6500, 3)]
    assert found.mean_loss() == pytest.approx(0.05)


def test_a_change_at_the_beginning_leaves_no_phase_before_it() -> None:
    assert course(steps=[{"at": 0, "rate": "5mbit"}]).phases == ("from 0s: 5mbit",)


def test_a_ramp_has_the_mean_of_its_ends_and_ends_at_its_value() -> None:
    found = course(steps=[{"at": "1s", "rate": "20mbit", "delay": "10ms", "over": "100ms"}])
    ramp = [moment for moment in found.moments if moment.phase == 1]
    assert [moment.at_ns // MS for moment in ramp] == list(range(1000, 1100, 10))
    assert sum(moment.state.rate_bps or 0 for moment in ramp) / 10 == 15 * 10**6
    assert sum(moment.state.delay_ns for moment in ramp) / 10 == 5 * MS
    assert found.moments[-1] == (1100 * MS, LinkState(20 * 10**6, 10 * MS), 2)
    assert found.phases[1] == "from 1s: 10mbit to 20mbit, 10ms"


def test_chance_is_the_same_for_a_seed_and_has_the_declared_means() -> None:
    drawn = [course(on_off={"on": "90ms", "off": "10ms", "seed": seed}, every="60s") for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0].phases == ("10mbit", "down")
    assert drawn[0].mean_loss() == pytest.approx(0.1, abs=0.02)
    lossy = course(on_off={"on": "90ms", "off": "10ms", "loss": "20%"}, every="60s")
    assert lossy.mean_loss() == pytest.approx(0.02, abs=0.004)
    assert shape(rate="1mbit", changes={"on_off": {"on": "1s", "off": "1s", "loss": "1%"}, "every": "9s"}).needs_netem


def test_a_packet_delivery_trace_lets_as_many_frames_pass_as_it_has_lines() -> None:
    trace = parse_trace("0\n3\n3\n10\n")
    assert trace.period_ns == 10 * MS
    frame = FRAME_BYTES * 8000
    # What is due at 0 is due at 10 too.
    assert [(point.at_ns // MS, point.rate_bps) for point in trace.points] == [(0, 2 * frame // 3), (3, 2 * frame // 7)]
    found = course(trace_data=packed("0\n3\n3\n10\n"))
    bits = sum((until - since) * (moment.state.rate_bps or 0) for since, until, moment in found.spans(10 * MS)) / 1e9
    assert bits / (FRAME_BYTES * 8) == pytest.approx(4, rel=1e-4)


def test_rates_of_a_packet_delivery_trace_change_half_a_frame_ahead_and_make_up_for_a_millisecond() -> None:
    changes = {"trace_data": packed("4\n4\n10\n")}
    declared = shape(rate="1mbit", changes=changes)
    first, second = changes_of(declared, None)
    # Two frames in 4 ms, each 2 ms.
    assert (first.at_ns, round(second.at_ns / MS, 3)) == (0, 3)
    rate = FRAME_BYTES * 8000 // 6
    [change] = second.changes
    assert change.disc.options == {"rate_bps": rate, "burst_bytes": rate // 8000}
    assert [change.disc.options["burst_bytes"] for change in undoing(declared, None).changes] == [6]
    [asked] = changes_of(shape(rate="1mbit", burst="20kB", changes=changes), None).__next__().changes
    assert asked.disc.options["burst_bytes"] == 20_000


def test_a_csv_trace_has_units_in_cells_or_in_its_head_and_gaps_stay() -> None:
    told = parse_trace("time,rate,delay,loss\n0,10mbit,20ms,1%\n1.5s,,30ms,\n")
    headed = parse_trace("# of a walk\ntime_s, rate_mbit, delay_ms, loss_percent\n0,10,20,1\n1.5,,30,\n")
    assert told == headed
    assert told.points[1] == (1500 * MS, None, 30 * MS, None)
    found = course(trace_data=packed("time,rate\n0,8mbit\n1s,2mbit\n2s,8mbit\n"), every="3s")
    assert found.phases == ("8mbit", "2mbit")
    assert [moment.phase for moment in found.moments] == [0, 1, 0]


def test_many_states_are_told_in_bands() -> None:
    rows = "".join(f"{n * 100}ms,{n + 1}mbit\n" for n in range(40))
    assert course(trace_data=packed("time,rate\n" + rows)).phases == (
        "1mbit to 2mbit", "2mbit to 5mbit", "5mbit to 10mbit", "10mbit to 20mbit", "20mbit to 50mbit",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("", 1, 1, "no line"),
        ("1\n2\nx\n", 3, 1, "no millisecond"),
        ("5\n3\n", 2, 1, "order of time"),
        ("0\n0\n", 2, 1, "ends at 0"),
        ("rate,time\n", 1, 1, "no head"),
        ("time,rate\n0,10mbit\n0,9mbit\n", 3, 1, "not after"),
        ("time,rate\n0,10mbit\n1s,fast\n", 3, 4, "rate"),
        ("time,rate\n0,10mbit,3\n", 2, 1, "3 values"),
        ("time,rate\n", 1, 1, "no rows"),
        ("time,rate\n0,8bit\n", 2, 1, "1kbit"),
    ],
)
def test_what_is_no_trace_is_said_with_its_place(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(TraceError, match=says) as refused:
        parse_trace(text)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_a_trace_is_carried_whole_and_nothing_else_is_taken_for_one() -> None:
    assert unpacked(packed("1\n2\n")) == "1\n2\n"
    for data in ("", "AAAA", packed("1\n2\n")[:-8] + "AAAAAAAA"):
        with pytest.raises(ValueError, match="nothing that was filled in"):
            unpacked(data)


def experiment(tmp_path: Path, changes: str, more: str = "rate: 10mbit, ") -> str:
    """A file whose link changes so, in its line 4; the place and words of what is refused, or ""."""
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\ntopology:\n  nodes: {a: {}, b: {}}\n"
        f"  links: [{{between: [a, b], shape: {{{more}changes: {changes}}}}}]\n"
        "workload: {kind: ping-pong, from: a, to: b}\n"
    )
    try:
        load_experiment(file)
    except InputError as error:
        return f"{error.where.removeprefix(str(tmp_path))} {error}"
    return ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ("{}", "says nothing"),
        ("{every: 1s}", "says nothing"),
        ("{trace: a, steps: [{at: 1s, rate: 1mbit}]}", "a: No such file"),
        ("{on_off: {on: 1s, off: 1s}, steps: [{at: 1s, rate: 1mbit}]}", "side by side"),
        ("{on_off: {on: 1s, off: 1s}}", "every: 60s"),
        ("{steps: [{at: 1s}]}", "changes nothing"),
        ("{steps: [{at: 1s, rate: 1mbit}, {at: 1s, rate: 2mbit}]}", "steps.1.at"),
        ("{steps: [{at: 1s, down: 1s}, {at: 1500ms, rate: 2mbit}]}", "over at 2s"),
        ("{steps: [{at: 1s, over: 1s}]}", "changes nothing"),
        ("{steps: [{at: 1s, down: 1s, over: 1s}]}", "a ramp to nothing"),
        ("{steps: [{at: 1s, rate: 8bit}]}", "1kbit at least"),
        ("{steps: [{at: 1s, rate: 1mbit}], every: 1s}", "last until 1s"),
        ("{steps: [{at: 1s, speed: 1mbit}]}", "speed"),
        ("{on_off: {on: 1us, off: 1us}, every: 1h}", "more than 200,000 changes"),
        ("{steps: [{at: 0, rate: 1mbit}], every: 99us}", "leave 100us for each"),
        ("{steps: [{at: 2000000h, rate: 1mbit, over: 2000000h}]}", "more than 30 days"),
        ("{steps: [{at: 1s, rate: 9000tbit}]}", "over 100tbit"),
    ],
)
def test_changes_that_cannot_be_are_refused_with_their_place(tmp_path: Path, changes: str, says: str) -> None:
    refused = experiment(tmp_path, changes)
    assert refused.startswith("/x.yaml:4:"), refused
    assert says in refused


def test_what_is_changed_has_to_be_there(tmp_path: Path) -> None:
    step = "{steps: [{at: 1s, rate: 1mbit}]}"
    assert "rate: 10mbit" in experiment(tmp_path, step, "")
    assert "rate: 10gbit" in experiment(tmp_path, "{steps: [{at: 1s, down: 1s}]}", "")
    assert "htb does" in experiment(tmp_path, step, "rate: 10mbit, method: tbf, ")
    assert "loss: 100%" in experiment(tmp_path, "{steps: [{at: 1s, down: 1s}]}", "rate: 10mbit, method: netem, ")
    assert experiment(tmp_path, "{steps: [{at: 1s, delay: 1ms}]}", "") == ""


def test_a_trace_file_is_read_from_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "lte.csv").write_text("time,rate\n0,10mbit\n1s,zero\n")
    assert experiment(tmp_path, "{trace: lte.csv}").startswith("/lte.csv:3:4 ")
    (tmp_path / "lte.csv").write_text("time,rate\n0,10mbit\n1s,2mbit\n")
    assert experiment(tmp_path, "{trace: lte.csv, every: 2s}") == ""
    [cell] = load_experiment(tmp_path / "x.yaml").cells
    declared = cell.spec.topology.links[0].forward
    assert declared is not None
    assert declared.course is not None
    assert declared.course.phases == ("10mbit", "2mbit")
    ids = {cell.cell_id}
    (tmp_path / "lte.csv").write_text("time,rate\n0,10mbit\n1s,3mbit\n")
    ids |= {cell.cell_id for cell in load_experiment(tmp_path / "x.yaml").cells}
    assert len(ids) == 2, "another trace is another cell"
    # The text itself is none: it would be taken for a trace that has been read.
    for said in (r'{trace: "1\n5\n"}', '{steps: [{at: 1s, rate: 1mbit}]}, distribution: "1\\n2\\n"'):
        assert "No such file" in experiment(tmp_path, said)


def test_only_what_differs_is_changed_and_the_queue_stays() -> None:
    steps = [{"at": "1s", "rate": "5mbit"}, {"at": "2s", "down": "1s"}, {"at": "3s", "delay": "1ms"}]
    made = list(changes_of(shape(rate="10mbit", changes={"steps": steps}), None))
    done = [[(one.disc.kind, one.replaced, one.restored) for one in timed.changes] for timed in made]
    assert done == [
        [("netem", False, False), ("htb", False, False)],
        [("htb", False, False)],
        [("bfifo", True, False)],
        [("bfifo", False, True)],
        [("netem", False, False)],
    ]
    [restored] = [one.disc for timed in made for one in timed.changes if one.restored]
    assert restored == discs_of(shape(rate="10mbit", delay="1ms", method="htb"))[-1]
    back = undoing(shape(rate="10mbit", changes={"steps": steps}), None).changes
    assert [(one.disc.kind, one.restored) for one in back] == [("bfifo", True), ("netem", False), ("htb", False)]


def test_netem_by_name_changes_itself_and_has_no_queue_to_put_back() -> None:
    steps = [{"at": "1s", "rate": "5mbit"}, {"at": "2s", "delay": "1ms"}]
    declared = shape(rate="10mbit", method="netem", changes={"steps": steps})
    kinds = [[(one.disc.kind, one.disc.handle >> 16) for one in timed.changes] for timed in changes_of(declared, None)]
    assert kinds == [[("netem", 1), ("netem", 2)], [("netem", 2)], [("netem", 1)]]
    assert not any(one.restored for one in undoing(declared, None).changes)


def test_a_link_that_is_down_loses_what_is_declared_lost() -> None:
    topology = pair(forward={"rate": "1mbit", "changes": {"steps": [{"at": "1s", "down": "1s"}], "every": "4s"}})
    assert round_trip_loss(topology, "a", "b") == pytest.approx(0.25)


def test_requests_belong_to_the_phase_in_which_they_were_sent() -> None:
    of = course(steps=[{"at": "10ms", "rate": "5mbit"}, {"at": "20ms", "down": "10ms"}], every="40ms")
    at = np.array([-1, 0, 9, 10, 19, 20, 29, 30, 41, 79, 80], dtype=np.int64) * MS
    latency = np.array([9, 1, 1, 2, 2, -1, -1, 2, 1, 2, 9], dtype=np.int64) * 1000
    rows = phases_of("a -> b", of, (0, 80 * MS), (at, latency))
    told = [(row.phase, row.seconds, row.rate_bps, row.loss_percent, row.requests, row.lost) for row in rows]
    assert told == [
        ("from 0s: 10mbit", 0.02, 1e7, 0, 3, 0), ("from 10ms: 5mbit", 0.02, 5e6, 0, 2, 0),
        ("from 20ms: down", 0.02, 0, 100, 0, 2), ("from 30ms: 5mbit", 0.02, 5e6, 0, 2, 0),
    ]  # fmt: skip
    assert [row.requests for row in phases_of("a -> b", of, (0, 15 * MS), None)] == [None, None]
    # The client's window began 5 ms after the course, and has all of its length.
    late = phases_of("a -> b", of, (5 * MS, 85 * MS), (at, latency))
    assert [(row.seconds, row.requests) for row in late] == [(0.02, 3), (0.02, 2), (0.02, 0), (0.02, 2)]


def test_tables_tell_phases_by_cell_over_the_valid_runs() -> None:
    records = [
        replace(record, phases=(LinkPhase("a -> b", "from 0s: down", 0.5, 0.0, 1.5, 100.0, 0, 20 + record.block),))
        for record in synthetic.result_set(3)
    ]
    records[0] = replace(records[0], verdict="suspect", phases=(replace(records[0].phases[0], lost=10**6),))
    tables = frames(records)
    assert list(tables.phases["lost"])[:3] == [10**6, 21.0, 22.0]
    view = overview(Source("set", tables.runs, phases=tables.phases))
    first = view.phases[0]
    assert (first.case, first.lost, first.p99_us) == (records[0].case, 21.5, None)
    text = to_text(document(view), 100, color=False)
    assert "from 0s: down" in text
    assert "a request belongs to the one in which it was sent" in text
    assert "phase" not in to_text(document(overview(Source("set", tables.runs))), 100, color=False)
