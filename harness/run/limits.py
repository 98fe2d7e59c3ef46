"""How much memory a declared run needs, and whether the machine has it: said before anything is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.kernel import facts
from harness.kernel.hostfiles import HOST
from harness.plan import Experiment, Plan
from harness.spec.cells import Cell, CellSpec
from harness.spec.messages import Mistakes, Path, problem

# A request in the generator's memory, in the file that it writes (which is memory too), read from there, and sorted.
# harness/loadgen/samples.h and samples_file.c have the sizes, with and without phases.
_SAMPLE_BYTES, _PHASED_SAMPLE_BYTES = 32 + 2 * 28 + 16, 88 + 2 * 68 + 16
# A namespace with a link takes 1.1 MB of Linux 6.18, queues, queueing disciplines and files of its own come on top.
NODE_BYTES = 3 << 20
# What a guest's own system and our program take of its memory.
_GUEST_OWN_BYTES = 200 << 20
WORTH_SAYING_BYTES = 256 << 20
"""A plan that needs less says nothing of it."""


@dataclass(frozen=True)
class Need:
    """Memory that one part of a run takes. path: the key of the file that decides it; words: what it is for."""

    path: Path
    words: str
    size_bytes: int


def needs(spec: CellSpec) -> list[Need]:
    """What a run of this cell takes, as far as its file decides it: at most, each part by itself."""
    return [*_hogs(spec), *_samples(spec), *_stores(spec), *_nodes(spec)]


def _hogs(spec: CellSpec) -> Iterator[Need]:
    hogs = spec.contention
    if hogs is not None and not hogs.idle() and hogs.kind in ("cache", "memory"):
        words = f"{hogs.threads} hog threads of {in_units(hogs.working_set_bytes)}"
        yield Need(("contention", "threads"), words, hogs.threads * hogs.working_set_bytes)


def _samples(spec: CellSpec) -> Iterator[Need]:
    """Of open loops alone: how many requests a closed loop will make, nobody knows before."""
    for index, workload in enumerate(spec.workloads()):
        rate_rps, count = getattr(workload, "rate_rps", None), getattr(workload, "count", None)
        if rate_rps is None or "client" not in workload.native:
            continue
        requests = rate_rps * max(workload.warmup_ns, workload.duration_ns) / 1e9
        requests = min(requests, count) if count else requests
        size = _PHASED_SAMPLE_BYTES if getattr(workload, "phases", False) else _SAMPLE_BYTES
        path: Path = ("workloads", index, "rate") if spec.background else ("workload", "rate")
        yield Need(path, f"samples of {requests:,.0f} requests", round(requests * size))


def _stores(spec: CellSpec) -> Iterator[Need]:
    for index, workload in enumerate(spec.workloads()):
        store = getattr(workload, "memory_bytes", 0)
        if store:
            path: Path = ("workloads", index, "memory") if spec.background else ("workload", "memory")
            yield Need(path, f"the store of {workload.kind}", store)


def _nodes(spec: CellSpec) -> Iterator[Need]:
    nodes = len(spec.topology.nodes)
    yield Need(("topology", "nodes"), f"{nodes} nodes", nodes * NODE_BYTES)


def available_bytes() -> int | None:
    """Memory that programs can have here without swapping; None where the kernel does not say."""
    size = facts.memory(HOST)["available_bytes"]
    return size if isinstance(size, int) else None


@dataclass(frozen=True)
class Account:
    """The memory of the cell that needs most. label: its name; has_bytes: what there is, None where nobody knows."""

    label: str
    needs: tuple[Need, ...]
    has_bytes: int | None

    @property
    def needs_bytes(self) -> int:
        """All of it."""
        return sum(need.size_bytes for need in self.needs)

    @property
    def fits(self) -> bool:
        """Is there enough, as far as one knows?"""
        return self.has_bytes is None or self.needs_bytes <= self.has_bytes

    def words(self) -> str:
        """How much for what: "3.2 GB: samples of 30,000,000 requests 3.1 GB, 2 nodes 6.3 MB"."""
        parts = sorted(self.needs, key=lambda need: -need.size_bytes)
        named = ", ".join(f"{need.words} {in_units(need.size_bytes)}" for need in parts)
        return f"{in_units(self.needs_bytes)}: {named}"


def account(cells: Sequence[Cell], guest: bool) -> Account:
    """What the neediest of the cells takes, and what there is: here, or in its guest."""
    here = available_bytes()
    accounts = [
        Account(cell.label(), tuple(needs(cell.spec)), _guest_has(cell.spec) if guest else here) for cell in cells
    ]
    # Guests may differ in what they have.
    return max(accounts, key=lambda its: its.needs_bytes - (its.has_bytes or 0))


def refuse_beyond(experiment: Experiment, plan: Plan, guest: bool = False) -> None:
    """InputError, placed at what needs most, for each cell of the plan that needs more memory than there is."""
    mistakes, here = Mistakes(), available_bytes()
    planned = {cell.cell_id for cell in plan.cells}
    for cell, tree in zip(experiment.cells, experiment.trees, strict=True):
        if cell.cell_id not in planned:
            continue
        its = Account(cell.label(), tuple(needs(cell.spec)), _guest_has(cell.spec) if guest else here)
        if not its.fits and its.has_bytes is not None and not cell.spec.topology.on_hosts():
            most = max(its.needs, key=lambda need: need.size_bytes)
            where = "the guest has (vm.memory)" if guest else "is free here"
            got = f"a run needs more memory than {where}, {in_units(its.has_bytes)}: {its.words()}"
            mistakes.add(problem(tree, most.path, got, "lower it, or take a larger machine"))
    mistakes.raise_any()


def _guest_has(spec: CellSpec) -> int:
    return max(0, spec.machine.memory_bytes - _GUEST_OWN_BYTES)


def in_units(size_bytes: float) -> str:
    """A size as people say it."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes / 1e3:.0f} kB"
