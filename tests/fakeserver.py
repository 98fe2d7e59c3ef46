"""A UDP server with bad manners: it answers what a test tells it to, in place of the load generator's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.kernel.netns import in_netns
from tests.vethpair import End

# What it answers to a datagram; it is also told how many came before.
Answers = Callable[[bytes, int], list[bytes]]


@contextmanager
def fake_server(end: End, answers: Answers) -> Iterator[int]:
    """A UDP server with bad manners, and its port."""
    with in_netns(end.path):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((end.ipv4, 0))
    sock.settimeout(0.05)
    over = threading.Event()

    def serve() -> None:
        count = 0
        while not over.is_set():
            try:
                data, peer = sock.recvfrom(65536)
            except TimeoutError:
                continue
            for answer in answers(data, count):
                sock.sendto(answer, peer)
            count += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(sock.getsockname()[1])
    finally:
        over.set()
        thread.join()
        sock.close()
