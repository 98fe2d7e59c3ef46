"""Which sockets our own generator's ends have: those of the kernel's UDP and TCP, or AF_XDP ones beside its stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.units import Count, OnOff
from harness.workloads.base import Fact, Role, Workload

SocketKind = Literal["kernel", "af_xdp"]
# What the load generator takes; tests/unit/test_bounds.py compares with its own.
FRAME_MAX_BYTES, QUEUE_MAX = 1472, 1023
_ROLES: tuple[Role, Role] = ("client", "server")
_NO_WAIT = ("blocking", "uring")


class XdpSocket(BaseModel):
    """How AF_XDP sockets are bound. Source: Documentation/networking/af_xdp.rst."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    zero_copy: OnOff = Field(
        False, description="frames lie in the program's memory (XDP_ZEROCOPY), as some drivers can; else copied"
    )
    need_wakeup: OnOff = Field(
        True, description="XDP_USE_NEED_WAKEUP: the kernel says when it wants a system call; else each send makes one"
    )
    queue: Count = Field(0, ge=0, le=QUEUE_MAX, description="queue of the interface; what comes by others is missed")


class OwnSockets(Workload):
    """A workload whose ends are our own generator, on sockets of either kind."""

    socket: SocketKind = Field(
        "kernel",
        description="sockets of both ends: kernel, UDP or TCP; af_xdp, UDP in frames made and read by the program, "
        "past the kernel's stack, one thread and one socket an end",
    )
    client_socket: SocketKind | None = Field(None, description="the client's, if not `socket`")
    server_socket: SocketKind | None = Field(None, description="the server's, if not `socket`")
    xdp: XdpSocket | None = Field(None, description="how af_xdp sockets are bound; by its defaults if absent")

    def socket_of(self, role: Role) -> str:
        """The kind of socket of one end."""
        return str(getattr(self, f"{role}_socket") or self.socket)

    def xdp_roles(self) -> tuple[Role, ...]:
        """The ends that have an AF_XDP socket."""
        return tuple(role for role in _ROLES if self.socket_of(role) == "af_xdp")

    def nodes_beside_the_stack(self) -> tuple[str, ...]:
        """Those of AF_XDP sockets."""
        return tuple(self.node_of(role) for role in self.xdp_roles())

    @model_validator(mode="after")
    def _sockets_fit(self) -> OwnSockets:
        roles = self.xdp_roles()
        if self.xdp is not None and not roles:
            raise ValueError("xdp is of af_xdp sockets; add socket: af_xdp, or client_socket, or server_socket")
        for mistake in self._xdp_mistakes() if roles else ():
            raise ValueError(f"an af_xdp socket {mistake}")
        return self

    def _xdp_mistakes(self) -> Iterator[str]:
        """What else of the workload does not go with an AF_XDP socket, and what to do."""
        if self.transport() != "udp":
            yield f"sends datagrams, no {self.transport()}; protocol: udp"
        roles = self.xdp_roles()
        for role in roles:
            if self.wait_of(role) in _NO_WAIT:
                yield (
                    f"cannot wait by `{self.wait_of(role)}`, as the {role} does; "
                    f"{role}_wait: poll (sleeps), or spin, epoll, select"
                )
        if "client" in roles and any(getattr(self, name, 1) != 1 for name in ("connections", "threads")):
            yield "is the only one of the client; connections: 1 and threads: 1"
        if (getattr(self, "server_threads", None) or 1) != 1 and "server" in roles:
            yield "has one thread; server_threads: 1"
        for name in ("phases", "udp_gro", "udp_batch"):
            if getattr(self, name, False):
                yield f"has no {name}; leave it out"

    def xdp_options(self, role: Role) -> list[str]:
        """The generator's options for the socket of one end."""
        if self.socket_of(role) != "af_xdp":
            return []
        bound = self.xdp or XdpSocket()
        argv = ["--socket", "af_xdp", "--xdp-need-wakeup", str(int(bound.need_wakeup)), "--xdp-queue", str(bound.queue)]
        return argv + (["--xdp-zero-copy"] if bound.zero_copy else [])

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and the kinds of sockets where one is AF_XDP."""
        roles, bound = self.xdp_roles(), self.xdp or XdpSocket()
        kinds: dict[str, Fact] = {f"{role}_socket": self.socket_of(role) if roles else None for role in _ROLES}
        return (
            super().described()
            | kinds
            | {
                "xdp_mode": ("zero-copy" if bound.zero_copy else "copy") if roles else None,
                "xdp_need_wakeup": ("on" if bound.need_wakeup else "off") if roles else None,
            }
        )
