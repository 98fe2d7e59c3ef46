"""The map of what can be busy-polled, made on this kernel."""

from __future__ import annotations

import json

from tests import command


def test_the_matrix_of_this_kernel() -> None:
    done = command.run("doctor", "--matrix", "json")
    cells = {(cell["link"], cell["socket"], cell["wait"]): cell for cell in json.loads(done.stdout)}
    assert len(cells) == 14 * (5 * 4 + 2 * 3) + 4
    # A NAPI, and a socket that notes it: on any kernel that the harness runs on.
    for link in ("veth with GRO", "veth with XDP", "bridge"):
        for kind in ("UDP", "TCP"):
            cell = cells[link, kind, "blocking"]
            assert cell["outcome"] == "polled" and cell["packets"] == 10, cell
    assert not any(cells[link, "UDP", wait]["napi"] for link in ("loopback", "veth") for wait in ("blocking", "epoll"))
    for kind in ("MPTCP", "AF_PACKET", "raw"):
        assert cells["veth with GRO", kind, "blocking"]["gate"] == "the kernel gives such a socket no NAPI id"
    assert cells["veth with GRO", "AF_XDP copy", "spin"]["packets"] == 10
    assert cells["veth with GRO", "AF_XDP zero copy", "spin"]["outcome"] == "refused"
    ring = cells["veth with GRO", "UDP", "io_uring"]
    assert ring["outcome"] == "polled" or ring["gate"] == "IORING_REGISTER_NAPI comes with Linux 6.9", ring
    child = cells["macvlan", "UDP", "blocking"]
    if child["outcome"] != "skipped":
        assert child["polled"] and child["polled_beside"] == 0, child
