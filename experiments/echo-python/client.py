"""Asks, waits for the answer, asks again; then prints each round trip as CSV: client.py ADDRESS PORT SECONDS"""

import socket
import sys
import time

SIZE = 64


def main() -> None:
    """Ask for so many seconds over one connection."""
    rows = []
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = sent = time.perf_counter_ns()
        end = began + float(sys.argv[3]) * 1e9
        while sent < end:
            client.sendall(bytes(SIZE))
            left = SIZE
            while left:
                left -= len(client.recv(left)) or sys.exit("the server has gone")
            answered = time.perf_counter_ns()
            rows.append((sent - began, answered - sent))
            sent = answered
    print("sent_us,rtt_us")
    for at_ns, rtt_ns in rows:
        print(f"{at_ns / 1e3},{rtt_ns / 1e3}")


main()
