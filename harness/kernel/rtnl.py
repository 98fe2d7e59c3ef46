"""What a namespace's network says: qdiscs, interface counters, and which qdisc kinds this kernel has."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from harness.kernel import qdiscs, readback
from harness.kernel.links import LOOPBACK_IFINDEX, link_dump
from harness.kernel.netlink import NetlinkError, NetlinkSocket
from harness.kernel.netns import in_netns, throw_away

# What it takes to add a qdisc of the kind anywhere: the parameters that have no default.
_SMALLEST: dict[str, dict[str, int | float]] = {
    "tbf": {"rate_bps": 8_000_000, "burst_bytes": 1600, "limit_bytes": 16000},
    "htb": {"rate_bps": 8_000_000, "burst_bytes": 1600},
    "hfsc": {"rate_bps": 8_000_000},
    "red": {
        "limit": 100_000,
        "min": 30_000,
        "max": 35_000,
        "avpkt": 1500,
        "burst": 20,
        "red_rate_bps": 8_000_000,
        "probability": 1,
    },
    "netem": {"limit": 1000},
}


def qdisc_dump(netns: int | str | Path) -> list[readback.QdiscState]:
    """Every qdisc of a namespace (descriptor, path or name) with options and statistics. Raises OSError."""
    with in_netns(netns), NetlinkSocket() as sock:
        return readback.dump(sock)


def link_stats(netns: int | str | Path) -> dict[str, dict[str, int]]:
    """The interface counters of a namespace by device: rx_packets, tx_dropped, ... Raises OSError."""
    with in_netns(netns), NetlinkSocket() as sock:
        return {link.device: link.statistics for link in link_dump(sock)}


def probe_qdiscs() -> dict[str, str]:
    """For every qdisc kind that pollbench can install: "" where this kernel has it, else the reason in words.

    Each is tried for real on the loopback device of a throw-away namespace, so a module is loaded where
    there is one. Raises OSError (EPERM) where this process may not make a namespace.
    """
    with throw_away(), contextlib.closing(NetlinkSocket()) as sock:
        return {kind: _try_qdisc(sock, kind) for kind in qdiscs.KINDS}


def _try_qdisc(sock: NetlinkSocket, kind: str) -> str:
    options = _SMALLEST.get(kind, {})
    try:
        sock.batch(qdiscs.new_qdisc(LOOPBACK_IFINDEX, kind, 1 << 16, qdiscs.ROOT, options))
    except NetlinkError as error:
        return missing_reason(kind) if error.errno == errno.ENOENT else str(error)
    sock.batch([qdiscs.delete_root(LOOPBACK_IFINDEX)])
    return ""


def missing_reason(kind: str) -> str:
    """Why a qdisc kind is unknown to a kernel."""
    return f"this kernel has no qdisc {kind} (CONFIG_NET_SCH_{kind.upper()}, module sch_{kind})"


def missing_remedy(kind: str) -> str:
    """What a user can do about a missing qdisc kind."""
    return (
        f"load the module sch_{kind} (on Ubuntu: package linux-modules-extra), or use a kernel that has "
        f"CONFIG_NET_SCH_{kind.upper()}, as the generic kernels of Debian and Ubuntu have; "
        "or run it in a guest that has it: pollbench vm run FILE"
    )
