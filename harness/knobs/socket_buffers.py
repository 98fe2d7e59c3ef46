"""SO_RCVBUF and SO_SNDBUF of the workload's sockets."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import Knob, Setting
from harness.units import SizeBytes

_LEAST, _MOST = 8192, 1 << 30


class SocketBuffers(Knob):
    """Buffers of the node's own sockets. Source: socket(7), tcp(7).

    In bytes as the kernel counts them, headers and all, which is twice what a program asks for by setsockopt; above
    net.core.rmem_max and wmem_max too. A TCP socket whose buffer is set no longer fits it to the connection.
    """

    name = "socket_buffers"
    scope = "socket"
    phase = "sockets"

    receive: SizeBytes | None = Field(
        None, ge=_LEAST, le=_MOST, multiple_of=2, description="SO_RCVBUF, as getsockopt tells it"
    )
    send: SizeBytes | None = Field(
        None, ge=_LEAST, le=_MOST, multiple_of=2, description="SO_SNDBUF, as getsockopt tells it"
    )

    def settings(self) -> list[Setting]:
        """The two socket options."""
        options = ("SO_RCVBUF", self.receive), ("SO_SNDBUF", self.send)
        return [Setting("socket", name, value) for name, value in options if value is not None]
