"""Asks over one stream of a QUIC connection, and prints each round trip as CSV: client.py ADDRESS PORT SECONDS"""

import asyncio
import ssl
import sys
import time

from aioquic.asyncio import connect
from aioquic.quic.configuration import QuicConfiguration

SIZE = 64


async def main() -> None:
    """Ask for so many seconds, one request after another."""
    rows = []
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["echo"], verify_mode=ssl.CERT_NONE)
    async with connect(sys.argv[1], int(sys.argv[2]), configuration=configuration) as connection:
        reader, writer = await connection.create_stream()
        began = sent = time.perf_counter_ns()
        end = began + float(sys.argv[3]) * 1e9
        while sent < end:
            writer.write(bytes(SIZE))
            await reader.readexactly(SIZE)
            answered = time.perf_counter_ns()
            rows.append((sent - began, answered - sent))
            sent = answered
    print("sent_us,rtt_us")
    for at_ns, rtt_ns in rows:
        print(f"{at_ns / 1e3},{rtt_ns / 1e3}")


asyncio.run(main())
