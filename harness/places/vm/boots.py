"""Which runs share a boot, how long that takes, what NICs it needs, and what is recorded of it."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from harness.places.vm.boot import Boot, GuestFailure
from harness.places.vm.machine_check import GuestAccount
from harness.plan import Plan, Run
from harness.spec.machine import Machine
from harness.spec.topology import Topology
from harness.store import ResultSet

FILE = "vm.json"
"""The file of a result set that says of every boot what it was."""
# Measured on two idle CPUs under the provided QEMU (of KVM, guessed): a boot with the start of the agent, and a second
# of traffic (`make demo-vm`: 7 to 18 s, by how much there is to do). A run costs more over NICs, which are probed anew,
# than over veth.
_BOOT_S = {"kvm": 3.0, "tcg-virtual": 20.0, "tcg-smoke": 10.0}
_RESUME_S = {"kvm": 3.0, "tcg-virtual": 3.0, "tcg-smoke": 2.0}
_TRAFFIC = {"kvm": 1.0, "tcg-virtual": 9.0, "tcg-smoke": 1.0}
_VETH_S, _NIC_S = 0.6, 5.0


def boots_of(runs: list[Run]) -> Iterator[tuple[Machine, list[Run]]]:
    """Gather runs into boots, in their order: the runs of a repetition that need the same machine share one.

    A run that two plans have in common is made once.
    """
    for _, block in groupby(runs, key=lambda run: run.block):
        machines: dict[str, dict[str, Run]] = {}
        for run in block:
            machines.setdefault(run.cell.spec.machine.model_dump_json(), {}).setdefault(run.run_id, run)
        for group in machines.values():
            members = list(group.values())
            yield members[0].cell.spec.machine, members


def expected_s(runs: Iterable[Run], accelerator: str, snapshots: bool = False) -> dict[str, float]:
    """Seconds that each run takes on an idle machine, by its id; the first run of a boot includes the boot.

    snapshots: of each machine only the first is booted, if it is not saved already, and the others are resumed.
    """
    boots: set[tuple[int, str]] = set()
    start_s = _RESUME_S if snapshots else _BOOT_S
    expected: dict[str, float] = {}
    for run in runs:
        spec, boot = run.cell.spec, (run.block, run.cell.spec.machine.model_dump_json())
        if run.run_id not in expected:
            around_s = _NIC_S if spec.topology.needs_guest() else _VETH_S
            expected[run.run_id] = around_s + _TRAFFIC[accelerator] * spec.workload.takes_ns() / 1e9
            if boot not in boots:
                first = boot[1] not in {machine for _, machine in boots}
                expected[run.run_id] += (_BOOT_S if first else start_s)[accelerator]
            boots.add(boot)
    return expected


def takes_s(
    plan: Plan, repeat: int | None = None, accelerator: str = "tcg-virtual", snapshots: bool = False, jobs: int = 1
) -> float:
    """Seconds that a plan's first `repeat` repetitions take, default all of them, with so many guests side by side."""
    runs = [run for run in plan.runs if repeat is None or run.block <= repeat]
    return side_by_side_s(runs, expected_s(runs, accelerator, snapshots), jobs)


def side_by_side_s(runs: Iterable[Run], expected: Mapping[str, float], jobs: int) -> float:
    """Seconds until all is done where so many guests run side by side. expected: seconds of each run by its id."""
    boots: dict[tuple[int, str], dict[str, float]] = {}
    for run in runs:
        key = (run.block, run.cell.spec.machine.model_dump_json())
        boots.setdefault(key, {})[run.run_id] = expected[run.run_id]
    busy_s = [0.0] * jobs
    # As they are handed out: a repetition after the other.
    for _, members in sorted(boots.items(), key=lambda item: item[0][0]):
        heapq.heapreplace(busy_s, busy_s[0] + sum(members.values()))
    return max(busy_s)


def pairs_of(topologies: list[Topology]) -> dict[str, int]:
    """How many pairs of each NIC model a guest needs to have for all of these topologies, one at a time."""
    most: Counter[str] = Counter()
    for topology in topologies:
        most |= Counter(link.nic for link in topology.links if link.kind.needs_guest)
    return dict(most)


def account_of(boot: Boot, guest: GuestAccount | None, failure: GuestFailure | None, keep: bool) -> dict[str, Any]:
    """What the set's vm.json says of one boot. keep: with its console, also where all went well.

    started: by a boot, or from a snapshot; not_resumed: why not from one, where one was wanted; hashes: SHA-256 of the
    image's parts; guest_uptime_s: the guest's uptime at each of its events, which counts from the boot that the
    snapshot was made of; runs: how many it was to make; console_tail: the end of its console, where it failed; found:
    the machine as the guest saw it.
    """
    times = {str(event.get("ev")): event.get("uptime_s") for event in boot.events if "uptime_s" in event}
    account = {
        "kernel": boot.image.kernel,
        "release": boot.image.release,
        "hashes": boot.image.hashes,
        "started": boot.started,
        "not_resumed": boot.not_resumed,
        "accelerator": boot.accelerator,
        "qemu": boot.emulator.account(),
        "machine": boot.machine.model_dump(mode="json"),
        "command": boot.argv,
        "guest_uptime_s": times,
        "runs": len(boot.runs),
        "failure": str(failure) if failure else None,
        "console_tail": boot.console[-8000:] if failure or keep else "",
    }
    return account if guest is None else account | {"found": guest.model_dump()}


def guests_of(boots: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For the manifest: each kind of guest among these boots once, and how it was set to measure."""
    kinds: dict[str, dict[str, Any]] = {}
    for boot in boots:
        if boot.get("found"):
            kind = {key: boot.get(key) for key in ("kernel", "release", "machine", "found")}
            kinds.setdefault(json.dumps(kind, sort_keys=True), kind)
    return list(kinds.values())


def record_boots(results: ResultSet, boots: Iterable[Mapping[str, Any]]) -> None:
    """Add boots to the set's vm.json, and the kinds of guests to its manifest. Raises PollbenchError."""
    try:
        earlier = list(json.loads((results.path / FILE).read_text())["boots"])
    except (OSError, ValueError, KeyError, TypeError):
        earlier = []
    every = [*earlier, *boots]
    results.write_file(FILE, json.dumps({"boots": every}, indent=1).encode())
    results.note(guests=guests_of(every))
