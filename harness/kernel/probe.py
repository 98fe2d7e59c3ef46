"""What this kernel can do for us, each thing tried for real in a throw-away namespace that leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
from collections.abc import Callable, Collection
from functools import cache
from typing import NamedTuple

from harness.kernel import cgroup, ethtool, links, netdev, pidfd, qdiscs, readback, syscalls
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.idle_states import limited_latency
from harness.kernel.netlink import NetlinkError, NetlinkSocket
from harness.kernel.netns import HERE, opened, sysfs_of, throw_away

_DEVICE, _IFINDEX, _PEER, _PEER_IFINDEX = "pbprobe0", 100, "pbprobe1", 101
_NOBODY = 65534
# What the kernel begins with.
_NO_LIMIT_US = 2_000_000_000
_NOT_TRIED = "not tried: "
# What of ethtool -K an experiment may ask for; a veth has some of it fixed to off.
_FEATURES = ("gro", "gso", "lro", "rx", "rx-gro-hw", "rx-gro-list", "rx-udp-gro-forwarding", "sg", "tso", "tx")
# What it takes to add a qdisc of the kind anywhere: the parameters that have no default.
_SMALLEST: dict[str, dict[str, int | float]] = {
    "tbf": {"rate_bps": 8_000_000, "burst_bytes": 1600, "limit_bytes": 16000},
    "htb": {"rate_bps": 8_000_000, "burst_bytes": 1600},
    "hfsc": {"rate_bps": 8_000_000},
    "red": {
        "limit": 100_000,
        "min": 30_000,
        "max": 35_000,
        "avpkt": 1500,
        "burst": 20,
        "red_rate_bps": 8_000_000,
        "probability": 1,
    },
    "netem": {"limit": 1000},
}


class Capability(NamedTuple):
    """One thing to try: its key in the result, what it is in words, the kernel that brought it."""

    key: str
    meaning: str
    since: str
    attempt: Callable[[], object]


def probe() -> dict[str, str]:
    """For each capability (and "qdisc:KIND"): "" when it works, else the reason, or "not tried: ...".

    Root tries in this process; anybody else in a child that makes a user namespace, where that is allowed.
    """
    return _probe_here() if os.geteuid() == 0 else _probe_in_child()


def keys() -> list[str]:
    """Every key of the result of `probe`."""
    groups = [f"qdisc:{kind}" for kind in qdiscs.KINDS] + [f"feature:{name}" for name in _FEATURES]
    return [capability.key for capability in CAPABILITIES] + groups


def is_untried(reason: str) -> bool:
    """Is this reason of `probe` only that nobody could try (no privilege), not that it is missing?"""
    return reason.startswith(_NOT_TRIED)


def meanings() -> dict[str, str]:
    """What each capability of `probe` is, in words ("qdisc:KIND" ones speak for themselves)."""
    return {capability.key: capability.meaning for capability in CAPABILITIES}


def _probe_here() -> dict[str, str]:
    reasons: dict[str, str] = {}
    try:
        reasons |= {f"qdisc:{kind}": reason for kind, reason in probe_qdiscs().items()}
        with throw_away():
            reasons |= {capability.key: _reason(capability) for capability in CAPABILITIES}
            reasons |= {f"feature:{name}": _feature_reason(name) for name in _FEATURES}
    except OSError as error:
        return _all(f"{_NOT_TRIED}no network namespace can be made ({error.strerror}); try as root")
    return reasons


def probe_qdiscs() -> dict[str, str]:
    """For every qdisc kind that pollbench can install: "" where this kernel has it, else the reason in words.

    Each is tried for real on the loopback device of a throw-away namespace, so a module is loaded where
    there is one. Raises OSError (EPERM) where this process may not make a namespace.
    """
    with throw_away(), NetlinkSocket() as sock:
        return {kind: _try_qdisc(sock, kind) for kind in qdiscs.KINDS}


@cache
def has_qdisc(kind: str) -> bool:
    """Can this kernel install the kind? Tried once per process, as in `probe_qdiscs`. Raises OSError."""
    with throw_away(), NetlinkSocket() as sock:
        return not _try_qdisc(sock, kind)


def _try_qdisc(sock: NetlinkSocket, kind: str) -> str:
    options = _SMALLEST.get(kind, {})
    try:
        sock.batch(qdiscs.new_qdisc(links.LOOPBACK_IFINDEX, kind, 1 << 16, qdiscs.ROOT, options))
    except NetlinkError as error:
        return qdiscs.missing_reason(kind) if error.errno == errno.ENOENT else str(error)
    sock.batch([qdiscs.delete_root(links.LOOPBACK_IFINDEX)])
    return ""


def _seed_netem() -> None:
    """Does netem keep a seed? An older one takes it without a word, and forgets it."""
    with NetlinkSocket() as sock:
        try:
            sock.batch(qdiscs.new_qdisc(links.LOOPBACK_IFINDEX, "netem", 1 << 16, qdiscs.ROOT, {"limit": 1, "seed": 7}))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            raise OSError(error.errno, qdiscs.missing_reason("netem")) from error
        seeds = [state.options.get("seed") for state in readback.dump(sock)]
        sock.batch([qdiscs.delete_root(links.LOOPBACK_IFINDEX)])
    if 7 not in seeds:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def _reason(capability: Capability) -> str:
    try:
        capability.attempt()
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return f"{_NOT_TRIED}needs root"
        since = f"; needs {capability.since}" if capability.since else ""
        return f"{error.strerror or error}{since}"
    return ""


def _feature_reason(name: str) -> str:
    """Why a veth cannot have a feature switched on; "" when it has, or can be given, it."""
    try:
        features = ethtool.features(_DEVICE)
    except OSError as error:
        return error.strerror or str(error)
    names = ethtool.SHORT_NAMES.get(name, (name,))
    meant = [features[kernel_name] for kernel_name in names if kernel_name in features]
    return "" if any(feature.active or feature.changeable for feature in meant) else "veth cannot switch it on"


def _all(reason: str) -> dict[str, str]:
    return dict.fromkeys(keys(), reason)


def _probe_in_child() -> dict[str, str]:
    """Probe in a forked child, root in its own user namespace: all it makes dies with it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, the child must not return into its parent's program.
        try:
            os.write(writer, json.dumps(_probe_as_user()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    try:
        return {str(key): str(reason) for key, reason in json.loads(text).items()}
    except ValueError:
        return _all(f"{_NOT_TRIED}the probe died; try as root")


def _probe_as_user() -> dict[str, str]:
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
    except OSError as error:
        return _all(f"{_NOT_TRIED}this host lets no user make a namespace ({error.strerror}); try as root")
    return _probe_here()


def _make_veth() -> None:
    """A veth pair of one queue, up; the later attempts find it."""
    with opened(HERE) as fd, NetlinkSocket() as sock:
        end = links.VethEnd(fd, _DEVICE, _IFINDEX, b"\2\0\0\0\0\1")
        peer = links.VethEnd(fd, _PEER, _PEER_IFINDEX, b"\2\0\0\0\0\2")
        sock.batch([links.new_pair(end, peer), links.link_up(_IFINDEX), links.link_up(_PEER_IFINDEX)])


def _make_napi() -> None:
    """Before Linux 6.8 no NAPI can be listed: there the features being set is all that can be tried."""
    for device in (_DEVICE, _PEER):
        ethtool.set_features(device, ethtool.VETH_NAPI_FEATURES)
    try:
        _set_napi()
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or netdev.family("netdev") is not None:
            raise


def _set_napi(**settings: int) -> None:
    napis = netdev.napi_get(_IFINDEX)
    if not napis:
        raise OSError(errno.EOPNOTSUPP, "no NAPI on a veth with GRO on and TSO off")
    if settings:
        netdev.napi_set(napis[0].napi_id, **settings)


def _defer_by_napi() -> None:
    _set_napi(defer_hard_irqs=1, gro_flush_timeout=1000)


def _write_sysfs(value: int, *names: str) -> None:
    with sysfs_of(HERE) as sysfs:
        for name in names:
            sysfs.write(f"class/net/{_DEVICE}/{name}", value)


def _set_sizes(names: Collection[str]) -> None:
    with NetlinkSocket() as sock:
        told = links.sizes(sock, _IFINDEX)
        missing = set(names) - told.keys()
        for name in names if not missing else ():
            sock.batch([links.set_size(_IFINDEX, name, told[name])])
    if missing:
        raise OSError(errno.EOPNOTSUPP, f"no {', '.join(sorted(missing))}")


def _set_threaded() -> None:
    _write_sysfs(1, "threaded")
    _write_sysfs(0, "threaded")


def _set_option(option: str, value: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        pidfd.set_option(sock.fileno(), option, value)


def _make_xdp_socket() -> None:
    with socket.socket(pidfd.AF_XDP, socket.SOCK_RAW):
        pass


def _raise_as_anybody() -> None:
    """SO_BUSY_POLL raised without any privilege, in a child that gives its own up. Raises OSError where it is refused.

    Where this process is root of a user namespace alone, it has no privilege on the host that it could give up.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        code = errno.EIO
        try:
            _set_option("SO_BUSY_POLL", 50)
            code = 0
        except OSError as error:
            code = error.errno or code
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if code := os.waitstatus_to_exitcode(status):
        reason = "it takes CAP_NET_ADMIN here" if code == errno.EPERM else os.strerror(code)
        raise OSError(errno.EOPNOTSUPP, reason)


def _set_epoll() -> None:
    with select.epoll() as poll:
        pidfd.set_epoll(poll.fileno(), [50, 8, 0])


def _hold_latency() -> None:
    with limited_latency(_NO_LIMIT_US):
        pass


_SIZES = [name for name in links.SIZES if name not in links.IPV4_SIZES]
_DEFERRAL = ("napi_defer_hard_irqs", "gro_flush_timeout")
# In this order: the veth pair serves those after it.
CAPABILITIES = (
    Capability("netns", "network namespaces", "", lambda: None),
    Capability("veth", "veth pairs (CONFIG_VETH)", "", _make_veth),
    Capability("ipv6", "IPv6", "", lambda: HOST.read(sysctl_file("net.ipv6.conf.default.accept_dad"))),
    Capability("veth-napi", "busy-poll capable veth pairs", "Linux 5.13", _make_napi),
    Capability("device-coalesce", ", ".join(_DEFERRAL), "Linux 5.8", lambda: _write_sysfs(0, *_DEFERRAL)),
    Capability("napi-settings", "coalescing per NAPI", "Linux 6.13", _defer_by_napi),
    Capability("irq-suspend", "irq-suspend-timeout", "Linux 6.13", lambda: _set_napi(irq_suspend_timeout=1000)),
    Capability("threaded-napi", "threaded NAPI", "Linux 5.12", _set_threaded),
    Capability("threaded-per-napi", "threaded NAPI of single queues", "Linux 6.17", lambda: _set_napi(threaded=0)),
    Capability("threaded-busy-poll", "threaded busy-poll NAPI", "Linux 6.19", lambda: _set_napi(threaded=2)),
    Capability("ethtool-coalesce", "ethtool -C on the links (veth has none)", "", lambda: ethtool.coalesce(_DEVICE)),
    Capability("link-sizes", ", ".join(_SIZES), "Linux 5.19", lambda: _set_sizes(_SIZES)),
    Capability("ipv4-sizes", ", ".join(links.IPV4_SIZES), "Linux 6.3", lambda: _set_sizes(links.IPV4_SIZES)),
    Capability("netem-seed", "seeds of netem's chance", "Linux 6.6 with netem", _seed_netem),
    Capability("rps", "receive packet steering (CONFIG_RPS)", "", lambda: _write_sysfs(0, "queues/rx-0/rps_cpus")),
    Capability("busy-poll", "SO_BUSY_POLL", "Linux 3.11", lambda: _set_option("SO_BUSY_POLL", 50)),
    Capability("busy-poll-by-anybody", "SO_BUSY_POLL raised by any user", "", _raise_as_anybody),
    Capability("prefer-busy-poll", "SO_PREFER_BUSY_POLL", "Linux 5.11", lambda: _set_option("SO_PREFER_BUSY_POLL", 1)),
    Capability("af-xdp", "AF_XDP sockets", "Linux 5.9 with XDP_SOCKETS", _make_xdp_socket),
    Capability("epoll-busy-poll", "busy polling in epoll (EPIOCSPARAMS)", "Linux 6.9", _set_epoll),
    Capability("cpu-latency", "a limit on how long CPUs take to wake (cpu_dma_latency)", "", _hold_latency),
    Capability("cgroup-cpu", "cpu.weight, cpu.max (cgroup v2)", "", lambda: cgroup.require(["cpu"])),
    Capability("cgroup-cpuset", "cpuset partitions (cgroup v2)", "", lambda: cgroup.require(["cpuset"])),
)
