"""The nodes' control groups for the length of a run: made, written, read back, joined by programs, removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from harness.kernel import cgroup
from harness.kernel.journal import Journal
from harness.knobs import GroupUse
from harness.knobs.cgroup import Cgroup
from harness.run.knobs import checked_row, refusal
from harness.spec.rules_cell import Settings
from harness.store.record import KnobRow


@dataclass
class RunCgroups:
    """The group of each node that has one, and the run's own for all others; None where the kernel has none.

    rows: what was written, for the run's knob record.
    """

    rows: list[KnobRow] = field(default_factory=list)
    home: cgroup.Group | None = None
    groups: dict[str, cgroup.Group] = field(default_factory=dict)

    def use(self) -> dict[str, GroupUse]:
        """What each group has used since it was made, by node."""
        return {node: _use(group) for node, group in self.groups.items()}

    def entrance(self, node: str) -> str:
        """By which file a program of a node moves itself into its group before it begins; "" where there is none."""
        group = self.groups.get(node, self.home)
        return group.entrance if group is not None else ""


def _use(group: cgroup.Group) -> GroupUse:
    usage = group.usage()
    names = ("usage_usec", "nr_periods", "nr_throttled", "throttled_usec")
    used, periods, throttled, waited = (usage.get(name, 0) for name in names)
    return GroupUse(used, periods, throttled, waited, tuple(group.affinity()))


def used_between(before: dict[str, GroupUse], after: dict[str, GroupUse]) -> dict[str, GroupUse]:
    """What each group did between two readings; its CPUs are those of the second."""
    counts = ("usage_us", "periods", "throttled", "throttled_us")
    return {
        node: replace(use, **{name: getattr(use, name) - getattr(before[node], name) for name in counts})
        for node, use in after.items()
    }


@contextmanager
def open_cgroups(settings: Settings, journal: Journal, namespaces: Collection[str] = ()) -> Iterator[RunCgroups]:
    """The groups that the `cgroup` knobs ask for, and the one that holds all other programs.

    namespaces: names of those in which the programs run.

    Raises MissingError (no such controller in version 2), PollbenchError (a value refused, or read back otherwise).
    """
    with ExitStack() as stack:
        groups = RunCgroups(home=stack.enter_context(cgroup.run_group(journal, namespaces)))
        for node, knobs in settings.items():
            if Cgroup.name not in knobs:
                continue
            model = knobs[Cgroup.name]
            assert isinstance(model, Cgroup)
            written = model.settings()
            setting = written[0]
            try:
                made = stack.enter_context(cgroup.own_group(journal, node, model.controllers()))
                for setting in written:
                    done = made.write(setting.name, setting.value)
                    row = checked_row(node, Cgroup.name, setting, setting.name, done.found, done.applied, node)
                    groups.rows.append(row)
            except OSError as error:
                raise refusal(setting, node, error) from error
            groups.groups[node] = made
        yield groups
