"""What a testbed takes of this host: named namespaces, open files, room in tables; all of it is given back."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator

from harness.errors import MissingError, PollbenchError
from harness.kernel import identity, netns
from harness.kernel.hostfiles import sysctl_file
from harness.kernel.journal import Journal, set_value
from harness.signals import check_stop
from harness.topology.layout import STATIC_NEIGHBOURS, Layout

# Per node: its namespace and a netlink socket; besides: programs, pipes, files of the run.
_FDS_PER_NODE, _FDS_BESIDES = 2, 256
_ARP = "net.ipv4.neigh.default.gc_thresh"
_ARP_MOST = 1 << 20


def namespace_name(token: str, node: str) -> str:
    """The name of a node's namespace in `ip netns`."""
    return f"pb-{token}-{node}"


@contextlib.contextmanager
def namespace(node: str, journal: Journal, source: str = "") -> Iterator[int]:
    """A named namespace for the block; its descriptor. source: path of one that is there already, to be named."""
    check_stop()
    name = namespace_name(journal.token, node)
    with explained(), netns.opened(source) if source else netns.unnamed() as made:
        # It is known before it has a name, so that no name of ours is ever without one in the journal.
        known = identity.of_namespace(made)
        number = journal.note("netns", name=name, identity=known)
        fd = netns.adopt(name, netns.path_of_fd(made))
    try:
        yield fd
    finally:
        if identity.of_name(name) == known:
            netns.remove(name)
        # With our hold on it, its name, and no process inside, the kernel frees it.
        os.close(fd)
        journal.done(number)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """A kernel's refusal as one of our errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            todo = "run it as root: put sudo before it"
            raise MissingError("build the testbed", got=str(error), todo=todo) from error
        todo = "raise the limit: ulimit -n 65536" if error.errno == errno.EMFILE else ""
        raise PollbenchError("build the testbed", got=str(error), todo=todo) from error


@contextlib.contextmanager
def room_for(layout: Layout, journal: Journal) -> Iterator[None]:
    """Room for the layout's descriptors and ARP entries, for the length of the block.

    Raises MissingError where a hard limit is too low. The table of ARP entries is one for all namespaces of the host,
    and only the host's own can change its size: elsewhere, as in a container, it stays as it is.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_descriptors(len(layout.topology.nodes)))
        entries = _arp_entries(layout)
        if entries and os.path.exists(sysctl_file(f"{_ARP}3")):
            for level, least in ((3, 2 * entries), (2, entries), (1, entries)):
                # Also where it is large enough: another testbed may have made it so, and may go before this one.
                stack.enter_context(set_value(journal, sysctl_file(f"{_ARP}{level}"), least, at_least=True))
        yield


def _arp_entries(layout: Layout) -> int:
    """How many entries there would be if every host talked to every other; 0 where all entries are static."""
    if layout.routed():
        return 0
    members = {id(ports): len(ports) for ports in layout.members.values()}
    asking = [count for count in members.values() if count > STATIC_NEIGHBOURS]
    return min(sum(count * (count - 1) for count in asking), _ARP_MOST)


@contextlib.contextmanager
def _descriptors(nodes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FDS_PER_NODE * nodes + _FDS_BESIDES
    if soft != resource.RLIM_INFINITY and needed <= soft:
        yield
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        got = f"{nodes} nodes need {needed} open files, the limit is {hard}"
        raise MissingError("build the testbed", got=got, todo=f"raise it: ulimit -Hn {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
