"""A guest that is not the machine which was declared says so; one that is says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.claims.source import available
from harness.places.vm.boot import GuestFailure
from harness.places.vm.boots import guests_of
from harness.places.vm.machine_check import deviations, guest_account
from harness.spec.machine import Machine
from harness.tables import Source
from tests.unit import synthetic

MIB = 1 << 20
NIC = "52:54:00:00:00:01"


def account(**changes: Any) -> dict[str, Any]:
    """What a guest of two CPUs tells that came up as it should."""
    base: dict[str, Any] = {
        "cpus": 2,
        "sockets": 1,
        "cores": 2,
        "memory_bytes": 970 * MIB,
        "numa": {"0": {"cpus": "0-1", "memory_bytes": 970 * MIB, "distances": "10"}},
        "isolated": [],
        "nohz_full": [],
        "mitigated": [],
        "cmdline": "quiet nokaslr mitigations=off",
        "unknown_words": ["nokaslr"],
        "idle_polls": False,
        "nics": {},
        "host": [],
    }
    return base | changes


TWO_NODES = {"0": {"cpus": "0-1", "distances": "10 31"}, "1": {"cpus": "2-3", "distances": "31 10"}}
FOUR = {"cpus": 4, "cores": 4, "numa": TWO_NODES}


@pytest.mark.parametrize(
    ("machine", "changes"),
    [
        ({}, {}),
        (
            {"cpus": 4, "numa_nodes": 2, "numa_distance": 31, "nic_node": 1},
            FOUR | {"nics": {NIC: {"node": 1, "iommu": "none"}}},
        ),
        ({"cpus": 8, "sockets": 2, "threads": 2}, {"cpus": 8, "sockets": 2, "cores": 4}),
        (
            {"cmdline": "isolcpus=managed_irq,domain,1 nohz_full=1"},
            {"isolated": [1], "nohz_full": [1], "cmdline": "isolcpus=managed_irq,domain,1 nohz_full=1"},
        ),
        (
            {"cmdline": "idle=poll mitigations=auto"},
            {"idle_polls": True, "mitigated": ["spectre_v2"], "cmdline": "idle=poll mitigations=auto"},
        ),
        ({"iommu": "lazy"}, {"nics": {NIC: {"node": -1, "iommu": "DMA-FQ"}}}),
        ({"iommu": "pt"}, {"nics": {NIC: {"node": -1, "iommu": "identity"}}}),
        ({"cpus": 4, "cmdline": "maxcpus=2"}, {"cmdline": "maxcpus=2"}),
    ],
)
def test_a_machine_as_declared(machine: dict[str, Any], changes: dict[str, Any]) -> None:
    assert deviations(Machine(**machine), guest_account(account(**changes))) == []


@pytest.mark.parametrize(
    ("machine", "changes", "said"),
    [
        ({"cpus": 4}, {}, "cpus: 4 declared, the guest has 2"),
        ({"cpus": 8, "sockets": 2}, {"cpus": 8, "cores": 8}, "sockets: 2 declared, the guest has 1"),
        ({"memory": "2GiB"}, {}, "memory: 2048 MiB declared, the guest has 970 MiB"),
        ({"cpus": 4, "numa_nodes": 2}, {"cpus": 4, "cores": 4}, "numa_nodes: 2 declared, the guest has 1"),
        ({"cpus": 4, "numa_nodes": 2}, FOUR, "node 0 should be 10 20 from the nodes, it is 10 31"),
        ({"nic_node": 1}, {"nics": {NIC: {"node": 0, "iommu": "none"}}}, "nic_node: 1 declared, the NIC"),
        ({"iommu": "lazy"}, {"nics": {NIC: {"node": -1, "iommu": "DMA"}}}, "a domain DMA-FQ; the NIC"),
        ({"iommu": "pt"}, {"nics": {NIC: {"node": -1, "iommu": "none"}}}, "iommu: pt declared"),
        ({"cmdline": "isolcpus=1"}, {"cmdline": "isolcpus=1"}, "isolcpus=1 declared, the kernel did so with none"),
        ({"cmdline": "idle=poll"}, {"cmdline": "idle=poll"}, "the kernel's idle threads do not poll"),
        ({"cmdline": "isolcpu=1"}, {"cmdline": "isolcpu=1", "unknown_words": ["isolcpu=1"]}, "does not know isolcpu=1"),
        ({}, {"mitigated": ["meltdown"]}, "mitigations: off declared, the kernel mitigates meltdown"),
        ({"cmdline": "quirk=1"}, {}, "cmdline: quirk=1 did not reach the kernel"),
    ],
)
def test_a_machine_that_is_another(machine: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    assert said in "; ".join(deviations(Machine(**machine), guest_account(account(**changes))))


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        account(cpus="many"),
        account(host=[{"name": "x"}]),
        account(cmdline="x" * 9999),
        account(nics={NIC: 1}),
    ],
)
def test_an_account_that_is_none_of_ours_is_a_damaged_answer(event: Any) -> None:
    with pytest.raises(GuestFailure, match="damaged answer"):
        guest_account(event)


def test_what_guests_had_decides_what_claims_can_be_tested() -> None:
    boots = [{"kernel": "6.12", "release": "6.12.1", "machine": {}, "found": account(**FOUR)}] * 2
    guests = guests_of([*boots, {"kernel": "6.12", "found": None}])
    assert len(guests) == 1
    cells = [{"document": {"topology": {"links": [{"nic": "e1000e"}]}}}]
    runs = synthetic.source().runs.assign(place="vm", iommu="DMA-FQ")
    found = Source("guest", runs, manifest={"guests": guests, "numa": {"0": {}}}, plan={"cells": cells})
    assert available(found) == {"vm", "nic", "numa", "iommu"}
    one = Source("guest", runs, manifest={"guests": [], "numa": {"0": {}, "1": {}}}, plan={"cells": [{}]})
    # The host's nodes are not the guest's.
    assert available(one) == {"vm"}
