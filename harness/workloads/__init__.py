"""The workloads an experiment file can ask for, by the `kind` the file uses."""

from __future__ import annotations

from harness.workloads.contention import Contention
from harness.workloads.ping_pong import PingPong

WORKLOADS: dict[str, type[PingPong]] = {"ping-pong": PingPong}

__all__ = ["WORKLOADS", "Contention", "PingPong"]
