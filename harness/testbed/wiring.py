"""The steps that turn fresh namespaces into a testbed, in the order in which the kernel wants them."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Self

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool, links, netdev, nics, qdiscs, readback, routes
from harness.kernel.hostfiles import HOST, HostFiles, sysctl_file
from harness.kernel.netlink import NetlinkError, NetlinkSocket, Request
from harness.kernel.netns import in_netns, own_proc
from harness.signals import check_stop
from harness.spec.links import LINK_KINDS, DevicePair, EmulatedNic, HostNics, Overlay
from harness.store.record import QdiscRow, Scalar
from harness.testbed import addressing, overlays
from harness.testbed.lent import is_lent
from harness.topology.layout import Layout, PortLayout
from harness.topology.overlays import wire_mtu
from harness.topology.qdiscs import DEFAULT_MTU, Disc

_PATIENCE_S, _PAUSE_S = 5.0, 0.0001
# A card negotiates its link anew whenever it is set up.
_NODES_OF_A_PROC = 64
_CABLE_S, _LOOK_S = 20.0, 0.5
_ALLOWED = "net.ipv4.tcp_allowed_congestion_control"


class Wiring:
    """The namespaces of a layout (node to descriptor) under construction, a netlink socket in each."""

    def __init__(self, layout: Layout, fds: Mapping[str, int]) -> None:
        self._layout, self._fds = layout, fds
        self._sockets: dict[str, NetlinkSocket] = {}
        self._stack = contextlib.ExitStack()

    def _socket(self, node: str) -> NetlinkSocket:
        """That of the node, opened when it is first asked for."""
        if node not in self._sockets:
            with in_netns(self._fds[node]):
                self._sockets[node] = self._stack.enter_context(NetlinkSocket())
        return self._sockets[node]

    def prepare(self) -> None:
        """Open the sockets and set what devices inherit when they are born."""
        nodes = list(self._fds.items())
        for first in range(0, len(nodes), _NODES_OF_A_PROC):
            with own_proc() as files:
                for node, fd in nodes[first : first + _NODES_OF_A_PROC]:
                    with in_netns(fd), _on(node):
                        self._sockets[node] = self._stack.enter_context(NetlinkSocket())
                        for name, value in addressing.sysctls(self._layout, node):
                            _write_sysctl(files, name, value, self._layout.topology.family)

    def connect(self) -> None:
        """Create the links: pairs of virtual devices together, by one request each from the node of their first end.

        Up to Linux 6.12 an ifindex that is to be given must be free in the namespace of the socket that asks, too.
        Of emulated NICs, the first link of a model gets its first pair, and so on.
        """
        requests: dict[str, list[Request]] = {}
        used: Counter[str] = Counter()
        for first, second in self._layout.links:
            kind = LINK_KINDS[first.nic]
            pair = LINK_KINDS["veth"] if isinstance(kind, Overlay) else kind
            if isinstance(pair, DevicePair):
                ends = self._end(first), self._end(second)
                made = links.new_pair(*ends, pair.device, pair.peer, pair.options)
                requests.setdefault(first.node, []).append(made)
            if isinstance(kind, EmulatedNic):
                for port in (first, second):
                    self._adopt(port, kind, used[kind.name])
                used[kind.name] += 1
        for node, batch in requests.items():
            _make(self._sockets[node], batch, node)
        for node, sock in self._sockets.items():
            with _on(node):
                _make(sock, list(overlays.born(self._layout, node)), node)
        overlays.exchange_keys(self._layout, self._fds)

    def _adopt(self, port: PortLayout, kind: EmulatedNic, pair: int) -> None:
        """A NIC of an emulated pair into the port's namespace, as the port's device."""
        mac, end = nics.address(kind.number, pair, port.end), self._end(port)
        device = nics.fresh(mac, f"{kind.name} pair {pair} end {port.end}")
        with NetlinkSocket() as outside:
            outside.batch([links.adopt(socket.if_nametoindex(device), end)])
        with _on(port.node):
            if kind.address_when_up:
                # First the one it was made with: it may still have the final one, and setting that again does nothing.
                end = end._replace(mac=bytes.fromhex(mac.replace(":", "")))
            self._sockets[port.node].batch([links.set_address(end)])
        with in_netns(self._fds[port.node]):
            nics.set_queues(port.device, self._layout.topology.links[port.link].queues)

    def _end(self, port: PortLayout) -> links.VethEnd:
        link = self._layout.topology.links[port.link]
        return links.VethEnd(self._fds[port.node], port.device, port.ifindex, port.mac, link.queues, wire_mtu(link))

    def enable_napi(self) -> None:
        """Make both ends receive by NAPI; before they are up, so that NAPIs are made once."""
        for node, ports in self._layout.ports.items():
            with in_netns(self._fds[node]), _on(node):
                for port in filter(_needs_features, ports):
                    ethtool.set_features(port.device, ethtool.VETH_NAPI_FEATURES)

    def start(self) -> None:
        """All links up, then addresses, neighbours and routes (which want their device up)."""
        for node, sock in self._sockets.items():
            with _on(node):
                ports = self._layout.ports[node]
                ups = [limit for port in ports for limit in _limits(port)]
                ups += [links.link_up(port.ifindex, port.device) for port in ports]
                late = [links.set_address(self._end(port)) for port in ports if _comes_up_with_another_address(port)]
                tops = overlays.up(self._layout, node)
                sock.batch([links.link_up(links.LOOPBACK_IFINDEX, "lo"), *ups, *late, *tops, *self._bridging(node)])
        for node, sock in self._sockets.items():
            with _on(node):
                sock.batch(list(addressing.requests(self._layout, node)))

    def _bridging(self, node: str) -> Iterator[Request]:
        """A switch's bridge, and its links in it; without those that would close a loop."""
        layout = self._layout
        if layout.topology.is_switch(node) and not layout.routed():
            number = layout.bridge_ifindex(node)
            yield links.new_bridge(number, node)
            for port in layout.ports[node]:
                if port.link not in layout.idle:
                    yield links.set_master(port.ip_device[0], number, port.ip_device[1])
            yield links.link_up(number, node)

    def check_addresses(self) -> None:
        """See that every address is in use. Raises PollbenchError.

        IPv6 takes an address into use from a work queue, duplicate address detection or not: a packet that comes
        earlier is lost.
        """
        deadline = time.monotonic() + _PATIENCE_S
        for node, sock in self._sockets.items():
            for port in self._layout.ports[node]:
                while port.addressed and not links.is_local(sock, port.interface.ip):
                    if time.monotonic() > deadline:
                        on = f"{port.device} of {node}"
                        raise PollbenchError("add an address", on=on, got=f"{port.interface} is not in use")
                    time.sleep(_PAUSE_S)

    def shape(self) -> list[QdiscRow]:
        """Install the declared qdiscs, then read every one back. Raises MissingError, PollbenchError."""
        rows: list[QdiscRow] = []
        for node, sock in self._sockets.items():
            discs = [(port, disc) for port in self._layout.ports[node] for disc in port.discs]
            if discs:
                with _on(node):
                    self._install(node, sock, discs)
                    rows += self._read_back(sock, discs)
        return rows

    def _install(self, node: str, sock: NetlinkSocket, discs: list[tuple[PortLayout, Disc]]) -> None:
        made = [(disc.kind, request) for port, disc in discs for request in qdiscs.new_qdisc(port.ifindex, *disc)]
        try:
            sock.batch([request for _, request in made])
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            raise no_qdisc(made[error.index][0], node) from error

    def _read_back(self, sock: NetlinkSocket, discs: list[tuple[PortLayout, Disc]]) -> Iterator[QdiscRow]:
        declared = {(port.ifindex, disc.handle) for port, disc in discs}
        states = {(state.ifindex, state.handle): state for state in readback.dump(sock, declared)}
        for port, disc in discs:
            state = states.get((port.ifindex, disc.handle))
            wrong = ["it is not there"]
            if state is not None:
                wrong = readback.differences(disc.options, state.options)
                if (state.kind, state.parent) != (disc.kind, disc.parent):
                    wrong.append(f"it is {state.kind} under {state.parent:#x}")
            on = f"{port.device} of {port.node}"
            if state is not None and "seed" in disc.options and "seed" not in state.options:
                got, todo = "netem of this kernel forgets its seed", "take Linux 6.6 or later: pollbench vm run FILE"
                raise MissingError("shape a link", on, got, todo)
            if state is None or wrong:
                raise PollbenchError(f"read back qdisc {disc.kind}", on=on, got=", ".join(wrong))
            yield qdisc_row(port, disc, state.options)

    def tune(self) -> None:
        """Set the declared sysctls, some of devices that have to be there, and what routes say of TCP.

        Raises MissingError, PollbenchError.
        """
        for node, fd in self._fds.items():
            declared = self._layout.topology.nodes[node]
            if declared.sysctls:
                with in_netns(fd):
                    for name, value in declared.sysctls.items():
                        _tune(node, name, value)
            if declared.initcwnd or declared.initrwnd:
                with _on(node):
                    self._open_wide(node, routes.FirstWindows(declared.initcwnd or 0, declared.initrwnd or 0))

    def _open_wide(self, node: str, windows: routes.FirstWindows) -> None:
        """Have the node's connections begin with these windows, wherever they lead; and see that its routes say so."""
        sock, family = self._socket(node), self._layout.topology.family
        sock.batch([routes.with_first_windows(route, windows) for route in routes.unicast_routes(sock, family)])
        if there := {routes.first_windows(route) for route in routes.unicast_routes(sock, family)} - {windows}:
            raise PollbenchError(f"set the first windows to {windows}", node, f"a route reads back as {there.pop()}")

    def limit_joining(self) -> None:
        """Limit the packets of devices that are up already, as `start` does with its own. Raises NetlinkError."""
        for node, ports in self._layout.ports.items():
            limits = [limit for port in ports for limit in _limits(port)]
            if limits:
                with _on(node):
                    self._socket(node).batch(limits)

    def check_joining(self) -> None:
        """See that every port sends packets of no more frames than it may. Raises PollbenchError."""
        for node, ports in self._layout.ports.items():
            limited = [port for port in ports if port.segments]
            limits = links.segment_limits(self._socket(node)) if limited else {}
            for port in limited:
                if (got := limits.get(port.ifindex)) != port.segments:
                    on = f"{port.device} of {node}"
                    words = f"a packet may hold {got} frames instead of {port.segments}"
                    raise PollbenchError("limit what a link joins", on=on, got=words)

    def check_carrier(self) -> None:
        """See that every port can send. Raises PollbenchError."""
        for node, ports in self._layout.ports.items():
            with in_netns(self._fds[node]), _on(node):
                for port in ports:
                    # A veth has it at once, netkit soon after, a NIC once its driver has looked.
                    if not _carries(port):
                        raise _unfit(port, "bring up a link", "no carrier", "are both interfaces joined by a cable?")
                if any(port.over is not None for port in ports):
                    overlays.check(self._layout, node, self._socket(node))

    def check_napi(self) -> None:
        """See that every port has the features, and receives by NAPI. Raises PollbenchError."""
        for node, ports in self._layout.ports.items():
            with in_netns(self._fds[node]), _on(node):
                with_napi = ifindexes_with_napi()
                for port in filter(_may_have_napi, ports):
                    features = ethtool.features(port.device)
                    wrong = [
                        name
                        for name, on in ethtool.VETH_NAPI_FEATURES.items()
                        if name in features and features[name].active != on and _needs_features(port)
                    ]
                    got = f"{wrong[0]} did not change" if wrong else "it has no NAPI"
                    if wrong or (with_napi is not None and port.ifindex not in with_napi):
                        raise _unfit(port, "make a link busy-poll capable", got, "name another, or see its driver")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Open sockets would keep the namespaces alive.
        self._stack.close()


def _make(sock: NetlinkSocket, requests: list[Request], node: str) -> None:
    """Make devices. Raises MissingError where the kernel has none of such a kind, NetlinkError."""
    try:
        sock.batch(requests)
    except NetlinkError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        todo = "take another nic, or a kernel that has such devices"
        raise MissingError(error.attempted, node, error.strerror or "", todo) from error


def _limits(port: PortLayout) -> Iterator[Request]:
    """Of the port, and of the device on top of it: TCP goes by the limits of the device that it sends by."""
    # A packet of this size or more is not grown by another frame: one less than two of the smallest.
    joined_bytes = 1 if port.joins == 1 else port.joins * DEFAULT_MTU
    for ifindex, device, _ in dict.fromkeys(((port.ifindex, port.device, port.mac), port.ip_device)):
        if port.segments or port.joins:
            yield links.limit_joining(ifindex, device, port.segments, joined_bytes)


def qdisc_row(port: PortLayout, disc: Disc, options: Mapping[str, Scalar]) -> QdiscRow:
    """The row of a declared qdisc of a port. options: as read back."""
    return QdiscRow(port.node, port.device, {"kind": disc.kind, **disc.options}, {"kind": disc.kind, **options})


def no_qdisc(kind: str, on: str) -> MissingError:
    """The error for a kind of qdisc that this kernel does not have."""
    return MissingError("shape a link", on, qdiscs.missing_reason(kind), qdiscs.missing_remedy(kind))


def _comes_up_with_another_address(port: PortLayout) -> bool:
    kind = LINK_KINDS[port.nic]
    return isinstance(kind, EmulatedNic) and kind.address_when_up


def _needs_features(port: PortLayout) -> bool:
    """Does the port receive by a NAPI only with certain features?"""
    kind = LINK_KINDS[port.nic]
    return isinstance(kind, Overlay) or (isinstance(kind, DevicePair) and kind.napi)


def _may_have_napi(port: PortLayout) -> bool:
    """Is there a NAPI on the port, with whatever features?"""
    return _needs_features(port) or isinstance(LINK_KINDS[port.nic], EmulatedNic | HostNics)


def _carries(port: PortLayout) -> bool:
    """Has it a carrier, soon enough?"""
    deadline = time.monotonic() + (_CABLE_S if is_lent(port) else _PATIENCE_S)
    while not ethtool.await_carrier(port.device, _LOOK_S):
        check_stop()
        if time.monotonic() > deadline:
            return False
    return True


def _unfit(port: PortLayout, attempted: str, got: str, todo: str) -> PollbenchError:
    """The error for a port that is not as it has to be; an interface of the host's own is what this host lacks."""
    on = f"{port.device} of {port.node}"
    return MissingError(attempted, on, got, todo) if is_lent(port) else PollbenchError(attempted, on, got)


def _write_sysctl(files: HostFiles, name: str, value: int, family: str) -> None:
    try:
        files.write(sysctl_file(name).removeprefix("/proc"), value)
    except FileNotFoundError:
        if name == addressing.HASH_SEED:
            return
        if "ipv6" not in name:
            raise
        if family == "ipv6":
            todo = "use family: ipv4, or boot without ipv6.disable=1"
            raise MissingError("use IPv6", got="this kernel has none", todo=todo) from None


def _tune(node: str, name: str, value: str) -> None:
    """Write a declared sysctl of the thread's namespace, and see that it took it."""
    file, attempted = sysctl_file(name), f"set {name} to {value}"
    if HOST.text(file) is None:
        todo = "leave it out; what is of the whole host is no node's (`host prepare` sets some)"
        raise MissingError(attempted, node, "a network namespace has none of this name here", todo)
    try:
        HOST.write(file, value)
        got = " ".join(HOST.read(file).split())
    except OSError as error:
        todo = "see what it may be in the kernel's documentation (ip-sysctl)"
        if "congestion" in name:
            # A namespace may take only what the host has named as fit for everybody.
            todo = (
                f"take one of {HOST.text(sysctl_file(_ALLOWED)) or 'none'}, or name it in {_ALLOWED} of the host first"
            )
        raise PollbenchError(attempted, node, error.strerror or str(error), todo) from error
    if got != value:
        raise PollbenchError(attempted, node, f"it reads back as {got}", "declare what the kernel makes of it")


@contextlib.contextmanager
def _on(node: str) -> Iterator[None]:
    """Name the node in the kernel's refusals; of hundreds of nodes, a stop request need not wait for the last."""
    check_stop()
    try:
        yield
    except NetlinkError as error:
        raise NetlinkError(error.errno or 0, error.strerror or "", f"{error.attempted} in {node}") from error
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} in {node}", error.filename) from error


def ifindexes_with_napi() -> set[int] | None:
    """The devices of this thread's namespace that have a NAPI; None before Linux 6.8, which lists none.

    There the features alone decide, and every run's SO_INCOMING_NAPI_ID shows whether they did.
    """
    napis = netdev.napis_of()
    return None if napis is None else {napi.ifindex for napi in napis}
