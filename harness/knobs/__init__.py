"""The knobs an experiment file can turn: one module each, listed here by the name the file uses."""

from __future__ import annotations

from harness.knobs.base import Effect, GroupUse, Knob, KnobModel, Seen, Setting
from harness.knobs.busy_poll import BusyPoll
from harness.knobs.cgroup import Cgroup
from harness.knobs.channels import Channels
from harness.knobs.coalesce import Coalesce
from harness.knobs.epoll_busy_poll import EpollBusyPoll
from harness.knobs.ethtool_coalesce import EthtoolCoalesce
from harness.knobs.host_busy_poll import HostBusyPoll
from harness.knobs.irq_affinity import IrqAffinity
from harness.knobs.offloads import Offloads
from harness.knobs.process import Process
from harness.knobs.rps import Rps
from harness.knobs.rss import Rss
from harness.knobs.threaded_napi import ThreadedNapi

# The order is the order of application: a change of queues makes all that hangs on them anew, features decide whether a
# NAPI exists, the NAPI's mode comes before its timers, and host-wide values come last so that they are in force for as
# short a time as possible.
_ALL: tuple[type[Knob], ...] = (
    Channels,
    Rss,
    Offloads,
    ThreadedNapi,
    Coalesce,
    EthtoolCoalesce,
    IrqAffinity,
    Rps,
    HostBusyPoll,
    BusyPoll,
    EpollBusyPoll,
    Process,
    Cgroup,
)
KNOBS: dict[str, type[Knob]] = {knob.name: knob for knob in _ALL}

__all__ = ["KNOBS", "Effect", "GroupUse", "Knob", "KnobModel", "Seen", "Setting"]
