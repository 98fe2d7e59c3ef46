"""The map of what can be busy-polled: its table, and the page that keeps what kernels answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cli import matrix
from harness.kernel.matrix import COLUMNS, Cell
from tests import command
from tools import matrix_doc

POLLED = Cell("6.9", "macvlan", "UDP", "blocking", "polled", True, 10, 9, 0)
WAITS = replace(POLLED, wait="poll", outcome="unpolled", polled=0, gate="busy_poll is 0", beyond_gate=2)
BLIND = replace(POLLED, socket="raw", outcome="no id", napi=False, polled=0, gate="it has no id")
LACKING = replace(BLIND, link="wireguard", outcome="skipped", gate="Unknown device type", polled_beside=None)


def test_the_table_says_how_many_and_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    refused = replace(BLIND, outcome="refused", gate="bind in zero copy: no", socket="AF_XDP zero copy", wait="spin")
    ring = replace(POLLED, wait="io_uring", polled=10)
    matrix.show([POLLED, WAITS, ring, BLIND, replace(BLIND, wait="poll"), refused, LACKING], "text")
    assert capsys.readouterr().out.splitlines() == [
        "Linux 6.9: of 10 packets, those that were busy-polled, by socket and its wait",
        "           UDP                  raw           AF_XDP zero copy",
        "           block  poll   uring  block  poll   spin",
        "macvlan    9      0 (2)  10     -      -      x",
        "wireguard                       ?",
        "-: the socket has no NAPI id; x: the kernel refuses it; ?: not tried; (n): with net.core.busy_poll set",
        "  busy_poll is 0: UDP by poll behind macvlan",
        "  it has no id: raw behind macvlan",
        "  bind in zero copy: no: AF_XDP zero copy behind macvlan",
        "  Unknown device type: every socket behind wireguard",
        "  macvlan: counted in the namespace of the device below, and not in the socket's",
        "",
    ]
    matrix.show([POLLED], "csv")
    assert capsys.readouterr().out == f"{','.join(COLUMNS)}\n6.9,macvlan,UDP,blocking,polled,True,10,9,0,,\n"


def test_an_experiment_and_the_matrix_do_not_go_together() -> None:
    done = command.run("doctor", "some.yaml", "--matrix")
    assert done.returncode == 2 and "leave FILE out" in done.stderr


def test_the_page_shows_what_is_kept() -> None:
    rows = matrix_doc.kept()
    assert matrix_doc.page(rows) == matrix_doc.PAGE.read_text(), "run: python -m tools.matrix_doc"
    assert tuple(rows[0]) == COLUMNS


def test_rows_of_a_kernel_take_the_place_of_its_former_ones() -> None:
    rows = [{"kernel": kernel, "link": "veth"} for kernel in ("6.12.1-a", "7.3.4+b")]
    fresh = [{"kernel": "6.1.0-50", "link": "tap"}, {"kernel": "6.12.1-a", "link": "tap"}]
    assert matrix_doc.replaced(rows, fresh) == [*fresh, rows[1]]
