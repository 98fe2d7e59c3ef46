"""The race of settings: what a file's `tune` section makes, whom the race chooses, and when it claims nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.analysis.tune.answer import Answer, answer, as_json
from harness.analysis.tune.best import experiment_of
from harness.analysis.tune.course import Course, alike, excess
from harness.analysis.tune.front import close, non_dominated
from harness.analysis.tune.race import Seen
from harness.cli.tune_places import again_in
from harness.errors import InputError
from harness.places.local import Local
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.plan import Experiment, Run, load_experiment
from harness.report import tuning as words
from harness.report.apply import apply_script
from harness.signals import Stopper
from harness.spec.tune import level, parse_condition, parse_limit
from harness.spec.yaml_tree import tree_of
from harness.store import RunRecord, codec
from harness.store.record import Metrics
from tests import command

DOCUMENT: dict[str, Any] = {
    "name": "t",
    "topology": {
        "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
        "links": [{"between": ["client", "server"]}],
    },
    "workload": {"kind": "load", "from": "client", "to": "server", "wait": "epoll", "rate": 10000, "duration": "1s"},
    "tune": {
        "space": {
            "settings.server.epoll_busy_poll.usecs": [0, 10, 50, 200],
            "settings.server.epoll_busy_poll.prefer": ["off", "on"],
            "settings.server.coalesce": [
                "none",
                {"napi_defer_hard_irqs": 2, "gro_flush_timeout": "20us"},
                {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"},
            ],
        },
        "skip": ["usecs == 0 and prefer == on and gro_flush_timeout == 0"],
        "across": {"workload.rate": [2000, 10000]},
        "goal": {"least": "rtt_p99_us"},
        "subject": ["cpu_us_per_request <= 100"],
    },
}


def load(tmp_path: Path, **tune: Any) -> Experiment:
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT | {"tune": DOCUMENT["tune"] | tune}, sort_keys=False))
    return load_experiment(path)


def test_a_space_is_pruned_of_what_cannot_differ(tmp_path: Path) -> None:
    tuning = load(tmp_path).tuning
    assert tuning is not None
    # 24 combinations; one is skipped, one is what the file says already.
    assert len(tuning.settings) == 23
    assert tuning.dropped == {
        "skip: usecs == 0 and prefer == on and gro_flush_timeout == 0": 1,
        "the same to the kernel as another": 1,
    }
    assert [one.name for one in tuning.settings[:3]] == ["today", "s01", "s02"]
    assert tuning.loads == ({"workload.rate": 2000}, {"workload.rate": 10000})
    cells = tuning.cells(longer=4)
    assert {cell.spec.workload.duration_ns for cell in cells.values()} == {4_000_000_000}
    assert cells[3, 1].case == "s03-x4"
    assert len({cell.cell_id for cell in cells.values()}) == 46


def test_weights_and_against(tmp_path: Path) -> None:
    coalesce = {"settings": {"server": {"coalesce": {"napi_defer_hard_irqs": 2, "gro_flush_timeout": "20us"}}}}
    tuning = load(tmp_path, goal={"least": "rtt_p99_us", "weights": {"10000": 3}}, against=coalesce).tuning
    assert tuning is not None
    assert tuning.weights() == (0.25, 0.75)
    # Today's is one of the space's settings then, and what the file says by itself is one of the others.
    assert len(tuning.settings) == 23
    assert tuning.settings[0].levels["settings.server.coalesce.napi_defer_hard_irqs"] == 2


def test_numbers_of_cpus_are_names(tmp_path: Path) -> None:
    cpus, usecs = "settings.server.irq_affinity.cpus", "settings.server.busy_poll.usecs"
    tuning = load(tmp_path, space={cpus: ["0", "1", "2"], usecs: [0, 50, 200]}, skip=[]).tuning
    assert tuning is not None
    at = {(one.levels[cpus], one.levels[usecs]): number for number, one in enumerate(tuning.settings)}
    much = alike(tuning).whole[at[0, 0]]
    assert much[at[1, 0]] == much[at[2, 0]]
    assert much[at[0, 50]] > much[at[0, 200]]


def test_a_joint_choice_is_swept_and_told_by_its_keys(tmp_path: Path) -> None:
    document = {key: value for key, value in DOCUMENT.items() if key != "tune"}
    choices = ["none", {"napi_defer_hard_irqs": 2, "gro_flush_timeout": "20us"}]
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(document | {"sweep": {"settings.server.coalesce": choices}}, sort_keys=False))
    first, second = load_experiment(path).cells
    assert first.factors == {"settings.server.coalesce": "none"}
    assert "coalesce" not in first.spec.settings.get("server", {})
    assert second.factors == {"settings.server.coalesce": "{napi_defer_hard_irqs: 2, gro_flush_timeout: 20us}"}
    assert "coalesce" in second.spec.settings["server"]


def test_conditions_limits_and_levels() -> None:
    (term,) = parse_condition("gro_flush_timeout >= 20us")
    assert [term.holds(level(text)) for text in ("20us", "1ms", "5us")] == [True, True, False]
    off = parse_condition("prefer == off")[0]
    assert [off.holds(value) for value in (None, "off", 0.0, "on")] == [True, True, True, False]
    assert parse_limit("rtt_p99_us <= 1ms").bound == 1000
    for text in ("rtt_p99_us", "rtt_p99_us <= 1 parsec", "rtt_p98_us < 3"):
        with pytest.raises(ValueError, match="rtt_p9"):
            parse_limit(text)
    limit = parse_limit("cpu_us_per_request <= 100")
    assert excess(limit, 100) == 0
    assert excess(limit, 101) == pytest.approx(0.01, rel=0.01)
    assert excess(parse_limit("missed <= 0"), 0) == 0


def test_a_tuned_file_has_no_cases(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT | {"cases": {"a": {}}}))
    with pytest.raises(InputError, match="does not go with a tune section"):
        load_experiment(path)


class Host:
    """A host whose runs are made up from the setting alone, the same for the same run."""

    def __init__(self, course: Course) -> None:
        self.names = {one.name: at for at, one in enumerate(course.tuning.settings)}
        self.levels = [one.levels for one in course.tuning.settings]
        self.records: dict[str, RunRecord] = {}

    def make(self, run: Run) -> RunRecord:
        levels = self.levels[self.names[run.cell.case.split("-x")[0]]]
        noise = np.random.default_rng(int(run.run_id, 16) % 2**32).normal(0, 0.05)
        usecs = levels["settings.server.epoll_busy_poll.usecs"] or 0.0
        defers = levels["settings.server.coalesce.napi_defer_hard_irqs"] == 100
        p99 = (100 - 0.45 * float(usecs) + (20 if defers else 0)) * np.exp(noise)
        cost = 60 + 0.5 * float(usecs) * (1 if usecs != 200 else 1.2)
        metrics: Metrics = {"rtt_p99_us": float(p99), "cpu_us_per_request": cost}
        inert = levels["settings.server.epoll_busy_poll.prefer"] == "on" and not usecs
        verdict, reasons = ("inert", ("nothing polled",)) if inert else ("valid", ())
        record = RunRecord(
            run.run_id, run.cell.case, verdict, dict(run.cell.factors), run.block, run.order,
            wall_s=1.0, reasons=reasons, metrics=metrics,
        )  # fmt: skip
        return self.records.setdefault(run.run_id, record)


def course_of(experiment: Experiment, budget_s: float | None = None) -> Course:
    assert experiment.tuning is not None
    return Course(experiment, experiment.tuning, 1, budget_s)


def go(course: Course, host: Host, most_steps: int = 1000) -> None:
    for _ in range(most_steps):
        runs = course.next()
        if runs is None:
            return
        for run in runs:
            host.make(run)
        course.take(host.records)


def test_a_course_keeps_the_limit_and_replays_byte_for_byte(tmp_path: Path) -> None:
    experiment = load(tmp_path)
    course = course_of(experiment)
    host = Host(course)
    go(course, host)
    result = answer(course)
    assert result.best is not None
    levels = course.tuning.settings[result.best].levels
    # 200 would be faster, and costs more than the limit.
    assert levels["settings.server.epoll_busy_poll.usecs"] == 50
    assert levels["settings.server.coalesce.napi_defer_hard_irqs"] != 100
    assert result.certificate is not None
    assert result.certificate.sure, result.certificate.doubts
    assert result.ruled_out["inert"] == 2
    killed = course_of(experiment)
    half = Host(killed)
    go(killed, half, 5)
    resumed = course_of(experiment)
    go(resumed, half)
    assert codec.to_json(as_json(resumed, answer(resumed))) == codec.to_json(as_json(course, result))
    # The plan of all runs is one that an ordinary result set can have.
    plan = course.plan()
    assert {run.run_id for run in plan.runs} == set(host.records)
    assert type(plan).from_json(plan.to_json()).plan_hash == plan.plan_hash
    text = words.text(course, result, tmp_path)
    assert "no setting within the limits is more than 5 % better" in text
    page = words.files(course, result, tmp_path)["tune.html"]
    best_name = course.tuning.settings[result.best].name
    for shown in ("Price and race", "What each knob does", f"{best_name}, usecs 50", "instead of", "over a limit"):
        assert shown in page
    assert page.count("<figure>") == 2
    _says_what_is_better_at_times(course, result)
    best = words.files(course, result, tmp_path)["best.yaml"]
    (tmp_path / "best.yaml").write_text(best)
    made = load_experiment(tmp_path / "best.yaml")
    assert set(made.case_descriptions) == {"today", "best"}
    assert made.cells[-1].spec.settings == course.cells[result.best, 1].spec.settings


def _says_what_is_better_at_times(course: Course, before: Answer) -> None:
    """Of a setting that is as good as the best by its mean, and half of the time much better."""
    assert not before.at_times
    best, race = before.best, course.race
    assert best is not None
    other = before.alike[0]
    after = race.round + 1
    middle = np.mean([run.goal for run in race.seen if run.setting == best and run.load == 1])
    states = [float(middle + (-0.3 if block % 2 else 0.3)) for block in range(20)]
    kept = [*race.seen]
    race.seen = [run for run in kept if (run.setting, run.load) != (other, 1)]
    race.seen += [Seen(other, 1, after + block, goal) for block, goal in enumerate(states)]
    again = answer(course)
    assert list(again.at_times) == [(other, 1)]
    assert as_json(course, again)["at_times"][0] == {  # type: ignore[index]
        "setting": course.tuning.settings[other].name,
        "load": 1,
        "better": round(float(np.exp(middle - 0.3)), 6),
        "other": round(float(np.exp(middle + 0.3)), 6),
        "share": 0.5,
    }
    assert "in 10 of 20 runs" in words.text(course, again, None)
    race.seen = kept


def test_paths_lead_from_the_file_wherever_it_is_read_again(tmp_path: Path) -> None:
    """Of a set's own copy, as --resume reads it, and of best.yaml."""
    ours = {"kind": "command", "build": "make", "server": "./s {port}", "port": 7, "client": "./c", "files": ["./s"]}
    workload = {"from": "client", "to": "server", "latencies": {"format": "lines"}, **ours}
    tune = {"space": {"settings.server.busy_poll.usecs": [0, 50]}, "goal": {"least": "rtt_p50_us"}}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(DOCUMENT | {"workload": workload, "tune": tune}))
    experiment = load_experiment(tmp_path / "t.yaml")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = elsewhere / "plan.json"
    again = load_experiment(kept, content=(experiment.data, tree_of(experiment.document, str(kept))))
    (elsewhere / "best.yaml").write_text(experiment_of(course_of(experiment), [1]))
    above = load_experiment(elsewhere / "best.yaml", [("workload.home", "..")])
    for one in (experiment, again, load_experiment(elsewhere / "best.yaml"), above):
        assert {cell.spec.workload.home for cell in one.cells} == {str(tmp_path)}  # type: ignore[attr-defined]


def test_a_front_is_of_what_none_beats_in_both(tmp_path: Path) -> None:
    first, second = np.array([1.0, 2.0, 3.0, 2.5, 1.0]), np.array([3.0, 2.0, 1.0, 2.5, 3.5])
    front = non_dominated(first, second)
    assert front.tolist() == [2, 1, 0]
    near, beaten, beating = close(np.array([0, 3]), first, second, front, 0.4)
    assert (near.tolist(), beaten.tolist(), beating.tolist()) == (
        [False, False, True],
        [False, True],
        [False, True, False],
    )
    experiment = load(tmp_path, goal={"least": "rtt_p99_us", "beside": "cpu_us_per_request"}, subject=[])
    course = course_of(experiment)
    go(course, Host(course))
    result = answer(course)
    assert result.front is not None
    assert result.sure, result.front.doubts
    # More polling is faster and dearer; deferral by 100 helps nothing. Of usecs there are four.
    levels = [course.tuning.settings[one.setting].levels for one in result.front.listed]
    assert {one["settings.server.epoll_busy_poll.usecs"] or 0 for one in levels} == {0, 10, 50, 200}
    assert all(one["settings.server.coalesce.napi_defer_hard_irqs"] != 100 for one in levels)
    written = as_json(course, result)["front"]
    assert [one["setting"] for one in written["settings"]] == [  # type: ignore[index]
        course.tuning.settings[one.setting].name for one in result.front.listed
    ]
    text = words.text(course, result, tmp_path)
    assert "of no single setting is it claimed" in text
    (tmp_path / "front.yaml").write_text(words.files(course, result, tmp_path)["front.yaml"])
    assert len(load_experiment(tmp_path / "front.yaml").case_descriptions) == len(levels) + (
        "today" not in text.split()
    )
    # What fresh blocks show to be beaten after all is no claim's.
    race, kept, last = course.race, course.race.seen, result.front.listed[-1].setting
    race.seen = [
        replace(run, goal=run.goal + 1, beside=run.beside + 1)
        if run.setting == last and run.round >= race.first_fresh
        else run
        for run in kept
    ]
    beaten = answer(course).front
    assert beaten is not None
    assert beaten.doubts == ("fresh blocks show that 1 of the settings are beaten in both",)
    race.seen = kept
    # The same runs, asked for one best under a limit.
    course.ask(load(tmp_path, subject=["cpu_us_per_request <= 70"]).tuning)  # type: ignore[arg-type]
    best = answer(course).best
    assert best is not None
    assert course.tuning.settings[best].levels["settings.server.epoll_busy_poll.usecs"] == 10


@pytest.mark.parametrize("second", ["rtt_p50_us", "wall_s"])
def test_a_front_has_two_columns_with_a_better_end(tmp_path: Path, second: str) -> None:
    with pytest.raises(InputError, match=r"second column|no run has a metric"):
        load(tmp_path, goal={"least": "rtt_p50_us", "beside": second})


def test_what_is_foreseen_is_what_comes(tmp_path: Path) -> None:
    """So that guests of several blocks run side by side, and the steps are those of a race that saw one at a time."""
    course = course_of(load(tmp_path, within="10%"))
    host, foreseen, blocks = Host(course), [], dict.fromkeys(("pilot", "start", "race", "confirm"), 0)
    while (runs := course.next()) is not None:
        ahead = course.foreseen()
        assert ahead[: len(runs)] == runs
        assert not foreseen or foreseen[: len(runs)] == list(runs)
        foreseen = list(ahead[len(runs) :])
        kind = course.steps[-1][0].kind
        blocks[kind] = max(blocks[kind], len({run.block for run in ahead}))
        for run in runs:
            host.make(run)
        course.take(host.records)
    # A leader that is settled gets all the runs that it lacks at once.
    assert blocks.pop("race") > 2
    assert blocks == {"pilot": 2, "start": 1, "confirm": 10}


def test_another_question_of_the_same_runs(tmp_path: Path) -> None:
    course = course_of(load(tmp_path))
    go(course, Host(course))
    tighter = load(tmp_path, subject=["cpu_us_per_request <= 70"]).tuning
    assert tighter is not None
    course.ask(tighter)
    result = answer(course)
    assert result.best is not None
    assert course.tuning.settings[result.best].levels["settings.server.epoll_busy_poll.usecs"] == 10
    # No fresh blocks are of the one that is best now, so nothing is claimed.
    assert result.certificate is not None
    assert not result.certificate.sure


def test_a_noisy_pilot_doubles_the_runs_length_and_says_when_that_does_not_help(tmp_path: Path) -> None:
    course = course_of(load(tmp_path))
    host = Host(course)
    plain = host.make

    def loud(run: Run) -> RunRecord:
        record = plain(run)
        noise = float(np.exp(np.random.default_rng(int(run.run_id[:8], 16)).normal(0, 1.2)))
        host.records[run.run_id] = replace(record, metrics=record.metrics | {"rtt_p99_us": noise})
        return record

    host.make = loud  # type: ignore[method-assign]
    go(course, host, 9)
    assert course.longer == 8
    assert course.out_of_reach
    assert {run.cell.case.rpartition("-")[2] for run in course.steps[-1][1]} == {"x8"}


def test_the_script_sets_what_the_cell_has_and_names_its_nodes(tmp_path: Path) -> None:
    tuning = load(tmp_path).tuning
    assert tuning is not None
    at = next(
        n for n, one in enumerate(tuning.settings) if "napi_defer_hard_irqs: 100" in one.label() and "50" in one.label()
    )
    script = apply_script("t", tuning.cells()[at, 0].spec)
    assert 'put "/sys/class/net/$DEV/napi_defer_hard_irqs" 100' in script
    assert 'put "/sys/class/net/$DEV/gro_flush_timeout" 20000' in script
    assert "put /proc/sys/net/core/busy_poll 50" in script
    assert "there are settings for: server" in script


@pytest.mark.parametrize(
    ("words_typed", "answered"),
    [
        (["--kernel", "6.12"], "add --in-vm"),
        (["-i", "hosts.ini", "--in-vm"], "guests are asked for too"),
        (["--set", "workload.rate=500"], 'the file has "workload.rate" in tune.across; take it out there'),
        (["--pareto", "rtt_p99_us"], "is not A,B: two columns"),
        (["--pareto", "rtt_p99_us,cpu_us_per_request", "--goal", "rtt_p50_us"], "--goal asks for one best"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, words_typed: list[str], answered: str) -> None:
    load(tmp_path)
    done = command.call("tune", tmp_path / "t.yaml", "--plan", *words_typed)
    assert done.returncode == 2
    assert answered in done.stderr


def test_what_took_no_effect_is_not_made_again_in_model_time() -> None:
    guests = Guests(Home(), Qemu(("qemu",), "10.0.13", "host"), "tcg-virtual", Stopper())
    assert again_in(guests) == ("suspect", "failed")
    assert "inert" in again_in(replace(guests, accelerator="kvm"))
    assert "inert" in again_in(Local(Stopper()))
