"""Writes docs/matrix.md from docs/matrix.csv; with files of `doctor --matrix csv` or `vm matrix --format csv`, anew.

python -m tools.matrix_doc [FILE...]: their rows take the place of those of the same kernels.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT, PAGE = ROOT / "docs" / "matrix.csv", ROOT / "docs" / "matrix.md"
Row = dict[str, str]
_HEAD = """\
# What can be busy-polled: sockets behind devices

Made by `python -m tools.matrix_doc` from [matrix.csv](matrix.csv), which holds the cells of `pollbench doctor
--matrix csv` (this host, as root) and `pollbench vm matrix --kernel K --format csv` (a guest, no root). Each cell
was tried on packets: ten UDP datagrams, TCP bytes and so on, a millisecond apart, into a socket with `SO_BUSY_POLL`
20 ms (and in epoll `EPIOCSPARAMS`, in io_uring `IORING_REGISTER_NAPI`, where the kernel has it). An AF_XDP socket has
no receive that blocks: *spin* is a `recv` that does not, in a loop.

- *polled*: `BusyPollRxPackets` grew; the CSV says by how many.
- *no id*: `SO_INCOMING_NAPI_ID` stayed 0, so that nothing can be polled.
- *none*: there is an id, and nothing was polled. *(few)*, *(polled)*: the same, and at most four, or five and more,
  of ten packets were polled once `net.core.busy_poll` was set, which is tried only in guests, since it is the whole
  host's.
- *refused*: the kernel has no such socket there. *?*: not tried. Why is below.

All devices but loopback, plain veth, netkit, tap, tun and the NICs stand on a veth that receives by NAPI (GRO on, the
peer's TSO off); macvlan and ipvlan in another namespace than that veth. tap and tun are opened with `IFF_NAPI`; that
NAPI is not for busy polling, and no kernel lists it. The counter is that of the namespace of the NAPI's device. The
NICs are QEMU's models with the guest's drivers, two back to back, with one queue. An AF_XDP socket is bound to the
device itself, with a native program where the driver takes one, and need_wakeup.

Kernel modules that it asks for stay loaded, and loading that of bonding makes a device `bond0` on the host.
"""
_TAIL = """\
## What was guessed otherwise

Every cell was guessed before the first run. These were missed, or showed what nobody had asked:

- **`poll` with `SO_BUSY_POLL` and `net.core.busy_poll`, in a guest**: guessed to poll as a blocking receive does. A
  few of ten are polled, since emulated CPUs take turns, and the kernel's loop in poll never says that it spins
  ([more](busy-polling.md#busy_poll-governs-poll-and-select), with the host's figures, where it does poll).
- **Eleven of ten packets polled**: `BusyPollRxPackets` counts all that the NAPI brings. A device that has just come
  up is greeted by IPv6, and that is counted. The matrix has IPv6 off; who makes a share of this counter must know
  what else comes by the NAPI.
- **Nothing polled on a host with more work than CPUs**: 0 of 10, twice, behind a veth that can be polled, at a load
  of 23 on two CPUs (6.18). A poll ends as soon as anybody else wants its CPU. With real-time priority for the two
  threads, as it is now, 9 or 10 of 10 at a load of 26. That nothing was polled on a busy host says nothing about
  device or socket.
- **vmxnet3 without an id**: not expected of a NIC with a NAPI. With LRO on, as it comes, it hands packets on by another
  call than the one that notes the NAPI; with LRO off 10 of 10 are polled (6.12).
- **vmxnet3, AF_XDP and epoll**: an id and nothing polled (6.12), the one gate that is unknown. Whether its packets were
  polled and not counted no run shows: `load` with such a server in a guest had no reply.
- **An AF_XDP socket that spins** has an id and nothing polled: each of its calls polls once, and the interrupt, which
  stays on between them, is there first. In epoll, which polls until something comes, the same socket polls 10 of 10.
- **An io_uring that brought nothing under 6.1**: 0 of 10, behind every device. There the two ends of its ring of
  completions have a cache line each, and are side by side only in later kernels: whoever reads the second where the
  first one ends sees nothing come. io_uring_setup tells the offsets of both, which are used now.
- **e1000e and igb in copy mode of AF_XDP**: no id on 6.12, one on 7.3; veth, the other way round.
- **A guest without udev has no `/dev/net/tun`** until the module is loaded: its file is made by the driver, and
  asked for by nobody.
"""
_MOST = 5
_WAITS = ("blocking", "spin", "poll", "epoll", "io_uring")


def kept() -> list[Row]:
    """The rows that are kept."""
    with KEPT.open(newline="") as file:
        return list(csv.DictReader(file))


def replaced(before: Iterable[Row], fresh: Sequence[Row]) -> list[Row]:
    """Rows of both, those of a kernel that has fresh ones from these; kernels in the order of their versions."""
    kernels = {row["kernel"] for row in fresh}
    rows = [row for row in before if row["kernel"] not in kernels] + list(fresh)
    return sorted(rows, key=lambda row: _version(row["kernel"]))


def _version(kernel: str) -> list[int]:
    return [int(part) for part in kernel.partition("-")[0].partition("+")[0].split(".")]


def page(rows: Sequence[Row]) -> str:
    """The page: for each device, and the kernels on which all came out alike, what came of each kind of socket."""
    kinds = [kind for kind in dict.fromkeys(row["socket"] for row in rows) if kind != "unix"]
    lines = [_HEAD, f"| device | Linux | {' | '.join(kinds)} |", "|---" * (2 + len(kinds)) + "|"]
    devices = [device for device in dict.fromkeys(row["link"] for row in rows) if device != "none"]
    for device in devices:
        by_kernel = {
            kernel: tuple(_outcome([row for row in own if row["socket"] == kind]) for kind in kinds)
            for kernel, group in groupby((row for row in rows if row["link"] == device), lambda row: row["kernel"])
            for own in [list(group)]
        }
        for outcomes in dict.fromkeys(by_kernel.values()):
            kernels = ", ".join(_short(kernel) for kernel, own in by_kernel.items() if own == outcomes)
            lines.append(f"| {device} | {kernels} | {' | '.join(outcomes)} |")
    unix = {row["outcome"] for row in rows if row["socket"] == "unix"}
    lines += ["", f"Unix sockets, on every kernel: {', '.join(sorted(unix))}; their packets pass no device.", ""]
    return "\n".join(
        [*lines, "## What stands in the way", "", *_gates(rows), "", "## Kernels", "", *_kernels(rows), "", _TAIL]
    )


def _outcome(rows: Sequence[Row]) -> str:
    """What came of a kind of socket: one word where its waits were alike."""
    words = {row["wait"]: _word(row) for row in rows}
    if not words:
        return "not tried"
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return "; ".join(f"{wait} {words[wait]}" for wait in _WAITS if wait in words)


def _word(row: Row) -> str:
    if row["outcome"] == "unpolled":
        beyond = row["beyond_gate"]
        return ("(polled)" if int(beyond) >= _MOST else "(few)") if beyond else "none"
    return {"skipped": "?"}.get(row["outcome"], row["outcome"])


def _short(kernel: str) -> str:
    return ".".join(kernel.split(".")[:2])


def _gates(rows: Sequence[Row]) -> list[str]:
    lines = []
    for gate in dict.fromkeys(row["gate"] for row in rows if row["gate"] and row["socket"] != "unix"):
        held = [row for row in rows if row["gate"] == gate]
        devices = ", ".join(dict.fromkeys(row["link"] for row in held))
        sockets = ", ".join(dict.fromkeys(row["socket"] for row in held))
        waits = list(dict.fromkeys(row["wait"] for row in held))
        every = {row["wait"] for row in rows if row["socket"] in {one["socket"] for one in held}}
        by = f" by {' and '.join(waits)}" if set(waits) < every else ""
        kernels = ", ".join(dict.fromkeys(_short(row["kernel"]) for row in held))
        lines.append(f"- *{gate}*: {sockets}{by}; {devices} ({kernels})")
    return lines


def _kernels(rows: Sequence[Row]) -> list[str]:
    return [f"- {kernel}" for kernel in dict.fromkeys(row["kernel"] for row in rows)]


def main(paths: Sequence[str]) -> int:
    """Take rows up, and write the page."""
    rows = kept() if KEPT.exists() else []
    for path in paths:
        with open(path, newline="") as file:
            rows = replaced(rows, list(csv.DictReader(file)))
    with KEPT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    PAGE.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
