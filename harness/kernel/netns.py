"""Network namespaces in this process: named ones as `ip netns` shows them, visits, throw-away ones."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from harness.kernel import syscalls
from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.syscalls import held

RUN_DIR = "/run/netns"
_AT_ONCE = 4
HERE = "/proc/thread-self/ns/net"


def path_of(name: str) -> str:
    """Where a named namespace is bound."""
    return f"{RUN_DIR}/{name}"


def create(name: str) -> int:
    """Make the namespace `name`, visible to `ip netns`, and return a descriptor of it.

    Raises FileExistsError when the name is taken, OSError otherwise; then nothing is left.
    """
    with unnamed() as fd:
        return adopt(name, path_of_fd(fd))


@contextlib.contextmanager
def unnamed() -> Iterator[int]:
    """A descriptor of a new namespace, which goes with the block unless the block gave it a name. Raises OSError."""
    with throw_away():
        fd = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
    with held(fd):
        yield fd


@contextlib.contextmanager
def unnamed_many(count: int) -> Iterator[list[int]]:
    """Descriptors of so many new namespaces, which go with the block unless it gave them names. Raises OSError.

    Several threads make them: the kernel makes as many at a time as there are CPUs.
    """

    # Imported here: few testbeds have so many nodes, and a guest loads all that is imported at its start.
    from concurrent.futures import ThreadPoolExecutor

    def made(_: int) -> int:
        with throw_away():
            return os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(made, number) for number in range(count)]
    with contextlib.ExitStack() as stack:
        fds = [stack.enter_context(held(future.result())) for future in futures if future.exception() is None]
        for future in futures:
            future.result()
        yield fds


def adopt(name: str, source: str) -> int:
    """Give a namespace that exists (`source`: a path of it) the name `name` too; a descriptor of it. Raises OSError."""
    path = path_of(name)
    _ensure_run_dir()
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        syscalls.mount(source, path, "none", syscalls.MS_BIND)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        remove(name)
        raise


def path_of_process(pid: int) -> str:
    """Where the namespace of a process is found."""
    return f"/proc/{pid}/ns/net"


def path_of_fd(fd: int) -> str:
    """Where a namespace is found of which this process has a descriptor."""
    return f"/proc/self/fd/{fd}"


def remove(name: str) -> None:
    """Unbind `name`, if it is there; the kernel frees the namespace once nobody is inside."""
    path = path_of(name)
    try:
        syscalls.umount(path)
    except OSError as error:
        # EINVAL: the file is there but nothing is bound to it (we died between creating and binding).
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    Path(path).unlink(missing_ok=True)


def names() -> list[str]:
    """The named namespaces of this host, sorted."""
    return HOST.names(RUN_DIR)


def opened(netns: str | Path) -> contextlib.AbstractContextManager[int]:
    """A descriptor of a namespace, by its path or bare name, for a block. Raises OSError."""
    return held(os.open(netns if os.sep in str(netns) else path_of(str(netns)), os.O_RDONLY | os.O_CLOEXEC))


@contextlib.contextmanager
def in_netns(netns: int | str | Path) -> Iterator[None]:
    """Run the block with this thread (no other) inside a namespace: a descriptor, a path, or a bare name."""
    with contextlib.ExitStack() as stack:
        fd = netns if isinstance(netns, int) else stack.enter_context(opened(netns))
        home = stack.enter_context(opened(HERE))
        # First the way back: a signal's exception may come between any two steps.
        stack.callback(syscalls.setns, home)
        syscalls.setns(fd)
        yield


@contextlib.contextmanager
def sysfs_of(netns: int | str | Path) -> Iterator[HostFiles]:
    """The /sys of a namespace (descriptor, path or name) for the block; its names are as "class/net/eth0/mtu".

    setns() alone does not do: /sys shows the namespace that it was mounted from. Raises OSError: EPERM without root,
    ENOSYS before Linux 5.2.
    """
    with in_netns(netns):
        root = syscalls.mount_detached("sysfs")
    with held(root):
        yield HostFiles(path_of_fd(root))


@contextlib.contextmanager
def throw_away() -> Iterator[None]:
    """Run the block with this thread in a new namespace, which is gone afterwards unless the block gave it a name."""
    with in_netns(HERE):
        syscalls.unshare(syscalls.CLONE_NEWNET)
        yield


def _ensure_run_dir() -> None:
    """Make /run/netns a shared mount point, the way `ip netns add` does on its first use.

    Shared, so that a namespace bound or removed here is so in every mount namespace that was copied from ours (systemd
    services, `ip netns exec`): else a copy would keep a removed namespace alive. Like `ip`, we leave the mount point.
    """
    os.makedirs(RUN_DIR, mode=0o755, exist_ok=True)
    try:
        # Without what is in it, which was shared from its birth: this is asked for every namespace, of thousands.
        syscalls.mount("", RUN_DIR, "none", syscalls.MS_SHARED)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
            raise
        syscalls.mount(RUN_DIR, RUN_DIR, "none", syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount("", RUN_DIR, "none", syscalls.MS_SHARED | syscalls.MS_REC)


@contextlib.contextmanager
def own_proc() -> Iterator[HostFiles]:
    """Files below a mount of proc of our own, for the block; below the host's where we may not make one.

    Under one mount the `net` of a namespace is looked for among those of all namespaces that were looked up there
    before, one after the other: of 5,000 each sysctl took 11 ms (Linux 6.18).
    """
    try:
        proc = syscalls.mount_detached("proc")
    except OSError:  # in a container that hides a part of it
        yield HostFiles("/proc")
        return
    with held(proc):
        yield HostFiles(f"/proc/self/fd/{proc}")
