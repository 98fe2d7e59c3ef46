"""The workloads an experiment file can ask for, by the `kind` the file uses: one module each."""

from __future__ import annotations

from harness.workloads.base import Reading, Role, Said, Scene, Workload
from harness.workloads.command import Command
from harness.workloads.contention import Contention
from harness.workloads.iperf3 import Iperf3
from harness.workloads.load import Load
from harness.workloads.memcached import Memcached
from harness.workloads.netperf import Netperf
from harness.workloads.ping_pong import PingPong
from harness.workloads.sockperf import Sockperf

WORKLOADS: dict[str, type[Workload]] = {
    "ping-pong": PingPong,
    "load": Load,
    "sockperf": Sockperf,
    "iperf3": Iperf3,
    "netperf": Netperf,
    "memcached": Memcached,
    "command": Command,
}

__all__ = ["WORKLOADS", "Contention", "PingPong", "Reading", "Role", "Said", "Scene", "Workload"]
