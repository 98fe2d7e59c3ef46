"""How a plan is shared out: whole blocks on one host, everything given once, and again what a missing host began."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.places.fleet.split import (
    HOST_FACTOR,
    SLICE_S,
    Split,
    allot,
    begun_elsewhere,
    fleet_plan,
    share_of,
    slices_of,
    units_of,
)
from harness.plan import Plan, estimate_s, make_plan
from harness.spec.load import load_experiment
from tests import command, experiment

FILE = """\
name: f
topology:
  nodes: {client: {}, server: {}}
  links: [{between: [client, server]}]
workload: {kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, duration: 1s}
cases: {base: {}, busy: {settings: {"*": {busy_poll: {usecs: 50}}}}}
sweep: {workload.size: [64B, 256B, 1kB]}
repeat: 4
seed: 1
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path: Path = tmp_path_factory.mktemp("split") / "f.yaml"
    path.write_text(FILE)
    return make_plan(load_experiment(path))


def owners(plan: Plan, split: Split, host: dict[str, str]) -> dict[object, set[str]]:
    """The hosts of everything that is compared with each other."""
    found: dict[object, set[str]] = defaultdict(set)
    for run in plan.runs:
        if run.run_id in host:
            group = run.block if split == "repetitions" else (run.block, str(run.cell.factors))
            found[group].add(host[run.run_id])
    return found


@pytest.mark.parametrize(("split", "slices"), [("blocks", {1: 4, 3: 12, 40: 12}), ("cells", {1: 3, 3: 3, 40: 3})])
def test_slices_are_whole_blocks_and_four_for_each_host(plan: Plan, split: Split, slices: dict[int, int]) -> None:
    lot = allot(plan, split, ["any"])
    for hosts, most in slices.items():
        cut = slices_of(plan, split, lot, hosts)
        assert len(cut) == most
        of = {run.run_id: name for name, runs in cut.items() for run in runs}
        assert all(len(each) == 1 for each in owners(plan, split, of).values())
        assert sorted(run.run_id for runs in cut.values() for run in runs) == sorted(lot.host)
        assert all(runs == [run for run in plan.runs if run in runs] for runs in cut.values())
    # What is made is in no slice.
    rest = allot(plan, split, ["any"], {run.run_id: "any" for run in plan.runs[6:]})
    assert sum(map(len, slices_of(plan, split, rest, 1).values())) == 6


def test_a_slice_takes_minutes_however_long_the_plan(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(FILE.replace("repeat: 4", "repeat: 400"))
    plan = make_plan(load_experiment(tmp_path / "f.yaml"))
    cut = slices_of(plan, "blocks", allot(plan, "blocks", ["any"]), 1)
    lengths_s = [estimate_s(plan.of_runs(runs)) for runs in cut.values()]
    assert max(lengths_s) <= SLICE_S < min(lengths_s[:-1]) + 10


@pytest.mark.parametrize("split", ["blocks", "cells", "repetitions"])
@pytest.mark.parametrize("hosts", [["a"], ["a", "b"], ["a", "b", "c"], list("abcdefghijkl")])
def test_every_run_once_and_whole_blocks_on_one_host(plan: Plan, split: Split, hosts: list[str]) -> None:
    lot = allot(plan, split, hosts)
    assert set(lot.host) == {run.run_id for run in plan.runs}
    assert all(len(each) == 1 for each in owners(plan, split, lot.host).values())
    shares = {"blocks": 12, "cells": 3, "repetitions": 4}[split]
    assert len(set(lot.host.values())) == min(len(hosts), shares)
    sizes = [len(lot.runs_of(host, plan)) for host in set(lot.host.values())]
    step = len(plan.runs) // shares
    assert max(sizes) - min(sizes) <= step


def test_a_hundred_hosts_all_have_work(tmp_path: Path) -> None:
    """50 sweep points, two cases, five repetitions: 250 blocks of two runs."""
    path = tmp_path / "f.yaml"
    sizes = ", ".join(f"{size}B" for size in range(64, 114))
    path.write_text(FILE.replace("64B, 256B, 1kB", sizes).replace("repeat: 4", "repeat: 5"))
    wide = make_plan(load_experiment(path))
    hosts = [f"h{number}" for number in range(100)]
    lot = allot(wide, "blocks", hosts)
    assert {len(lot.runs_of(host, wide)) for host in hosts} == {4, 6}
    assert len(set(allot(wide, "repetitions", hosts).host.values())) == 5


@given(st.integers(1, 15))
def test_shares_are_the_plan_each_run_once_and_the_same_for_whoever_asks(plan: Plan, of: int) -> None:
    shares = [share_of(plan, number, of) for number in range(1, of + 1)]
    runs = [run.run_id for share in shares for run in share.runs]
    assert sorted(runs) == sorted(run.run_id for run in plan.runs)
    assert sum(bool(share.runs) for share in shares) == min(of, 12)
    again = Plan.from_json(plan.to_json())
    assert [run.run_id for share in shares for run in share.runs] == [
        run.run_id for number in range(1, of + 1) for run in share_of(again, number, of).runs
    ]
    assert max(len(share.runs) for share in shares) - min(len(share.runs) for share in shares if share.runs) <= 2


def test_a_share_that_goes_on_elsewhere_makes_begun_blocks_anew(plan: Plan) -> None:
    share = share_of(plan, 1, 3)
    whole, half = list(units_of(share).values())[:2]
    made = {run.run_id: "a" for run in whole} | {half[0].run_id: "a"}
    assert begun_elsewhere(share, made, "a") == frozenset()
    assert begun_elsewhere(share, made, "b") == {half[0].run_id}


def test_runs_with_a_verdict_to_redo_are_given_to_who_made_them_or_with_their_block(plan: Plan) -> None:
    first = allot(plan, "blocks", ["a", "b"])
    doubtful = first.runs_of("b", plan)[0].run_id
    lot = allot(plan, "blocks", ["a", "b"], first.host, first.host, {doubtful})
    assert lot.host == {doubtful: "b"}
    assert lot.again == {doubtful}
    # Without b its whole block is another's.
    lot = allot(plan, "blocks", ["a"], first.host, first.host, {doubtful})
    (block,) = [
        {run.run_id for run in runs} for runs in units_of(plan).values() if doubtful in {r.run_id for r in runs}
    ]
    assert set(lot.host) == lot.again == block


def test_all_repetitions_of_a_group_of_cells_stay_together(plan: Plan) -> None:
    lot = allot(plan, "cells", ["a", "b", "c"])
    by_size = defaultdict(set)
    for run in plan.runs:
        by_size[str(run.cell.factors)].add(lot.host[run.run_id])
    assert all(len(each) == 1 for each in by_size.values())


def test_without_split_every_host_makes_all_of_it_under_names_of_its_own(plan: Plan) -> None:
    whole = fleet_plan(plan, "none", ["a", "b"])
    assert len(whole.runs) == 2 * len(plan.runs) == len({run.run_id for run in whole.runs})
    lot = allot(whole, "none", ["a", "b"])
    for host in ("a", "b"):
        mine = lot.runs_of(host, whole)
        assert {run.cell.factors[HOST_FACTOR] for run in mine} == {host}
        assert [run.order for run in mine] == [run.order for run in plan.runs]
    # Nobody can stand in for a host that is compared.
    assert set(allot(whole, "none", ["a"]).host.values()) == {"a"}


def test_a_share_is_a_plan_that_another_host_reads(plan: Plan) -> None:
    whole = fleet_plan(plan, "none", ["a", "b"])
    mine = allot(whole, "none", ["a", "b"]).runs_of("b", whole)
    again = Plan.from_json(whole.of_runs(mine).to_json())
    assert [run.run_id for run in again.runs] == [run.run_id for run in mine]


def test_who_has_begun_a_block_finishes_it(plan: Plan) -> None:
    first = allot(plan, "repetitions", ["a", "b"])
    begun = first.runs_of("b", plan)[:3]
    made = {run.run_id: "b" for run in begun} | {run.run_id: "a" for run in first.runs_of("a", plan)}
    lot = allot(plan, "repetitions", ["a", "b"], made, first.host)
    assert lot.again == frozenset()
    assert set(lot.host.values()) == {"b"}
    assert len(lot.host) == len(plan.runs) - len(made)


def test_what_a_missing_host_began_is_made_anew_as_a_whole(plan: Plan) -> None:
    first = allot(plan, "repetitions", ["a", "b"])
    begun = first.runs_of("b", plan)[:8]  # one whole block, of six cells, and two runs of the next
    made = {run.run_id: "b" for run in begun} | {run.run_id: "a" for run in first.runs_of("a", plan)}
    lot = allot(plan, "repetitions", ["a", "c"], made, first.host)
    assert lot.again == {run.run_id for run in begun[6:]}
    assert set(lot.host) == {run.run_id for run in first.runs_of("b", plan)[6:]}
    assert all(len(each) == 1 for each in owners(plan, "repetitions", lot.host).values())


@given(st.data())
def test_any_number_of_losses_ends_with_every_run_and_no_block_of_two_hosts(plan: Plan, data: st.DataObject) -> None:
    splits: tuple[Split, ...] = ("blocks", "cells", "repetitions")
    split = data.draw(st.sampled_from(splits))
    made: dict[str, str] = {}
    before: dict[str, str] = {}
    for _ in range(4):
        hosts = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True))
        lot = allot(plan, split, hosts, made, before)
        before |= lot.host
        for host in hosts:
            mine = lot.runs_of(host, plan)
            # A host makes its share in order, and may vanish anywhere.
            for run in mine[: data.draw(st.integers(0, len(mine)))]:
                made[run.run_id] = host
    lot = allot(plan, split, ["e"], made, before)
    made |= lot.host
    assert set(made) == {run.run_id for run in plan.runs}
    assert all(len(each) == 1 for each in owners(plan, split, made).values())


def test_a_plan_that_adapts_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.replace("repeat: 4", "repeat: {min: 3, max: 9, until: {metric: rtt_p99_us, ci: 5%}}"))
    adaptive = make_plan(load_experiment(path))
    with pytest.raises(InputError, match="name a number of repetitions: --repeat N"):
        fleet_plan(adaptive, "cells", ["a"])


def test_a_quick_plan_is_what_is_shared_out(tmp_path: Path) -> None:
    file = experiment.write(tmp_path, repeat=3, quick={"repeat": 1})
    done = command.call("fleet", "run", file, "-i", "localhost,", "--dry-run", "--quick")
    assert done.stdout.startswith("localhost: 1 runs: "), done.stderr
