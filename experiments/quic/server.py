"""Sends back what comes on the streams of QUIC connections: server.py ADDRESS PORT [gro]. Needs aioquic."""

import asyncio
import datetime
import signal
import socket
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

UDP_GRO = 104


class Echo(QuicConnectionProtocol):
    """One connection."""

    def quic_event_received(self, event: QuicEvent) -> None:
        """Send a stream's bytes back on it."""
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)
            self.transmit()


def configuration() -> QuicConfiguration:
    """A configuration with a certificate of our own, which nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "echo")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    made = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
    made.certificate, made.private_key = builder.sign(key, hashes.SHA256()), key
    return made


async def main() -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await serve(sys.argv[1], int(sys.argv[2]), configuration=configuration(), create_protocol=Echo)
    if sys.argv[3:] == ["gro"]:
        server._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    print("listening", flush=True)
    await ended.wait()
    server.close()


asyncio.run(main())
