"""Sends back whatever it receives on a connection: server.py ADDRESS PORT"""

import signal
import socket
import sys


def main() -> None:
    """Serve one connection after another until SIGTERM, then say how many messages there were."""
    served = 0

    def end(*_: object) -> None:
        print(f"served {served}", flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
        print("listening", flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                while data := connection.recv(2048):
                    connection.sendall(data)
                    served += 1


main()
