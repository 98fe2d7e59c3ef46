"""How long guests take, in seconds of wall time on a machine that has nothing else to do."""

from __future__ import annotations

from collections.abc import Iterable

from harness.plan import Plan, Run

# Measured on two idle CPUs under the provided QEMU (of KVM, guessed): a boot with the start of the agent, and a second
# of traffic (`make demo-vm`: 7 to 18 s, by how much there is to do). A run costs more over NICs, which are probed anew,
# than over veth.
_BOOT_S = {"kvm": 3.0, "tcg-virtual": 20.0, "tcg-smoke": 10.0}
_TRAFFIC = {"kvm": 1.0, "tcg-virtual": 9.0, "tcg-smoke": 1.0}
_VETH_S, _NIC_S = 0.6, 5.0


def expected_s(runs: Iterable[Run], accelerator: str) -> dict[str, float]:
    """Seconds that each run takes, by its id; the first run of a boot includes the boot."""
    boots: set[tuple[int, str]] = set()
    expected: dict[str, float] = {}
    for run in runs:
        spec, boot = run.cell.spec, (run.block, run.cell.spec.machine.model_dump_json())
        if run.run_id not in expected:
            around_s = _NIC_S if spec.topology.needs_guest() else _VETH_S
            expected[run.run_id] = around_s + _TRAFFIC[accelerator] * spec.workload.takes_ns() / 1e9
            expected[run.run_id] += 0.0 if boot in boots else _BOOT_S[accelerator]
            boots.add(boot)
    return expected


def takes_s(plan: Plan, repeat: int | None = None, accelerator: str = "tcg-virtual") -> float:
    """Seconds that a plan's first `repeat` repetitions take, default all of them."""
    runs = (run for run in plan.runs if repeat is None or run.block <= repeat)
    return sum(expected_s(runs, accelerator).values())
