"""Names of hosts that this process and its children know, and nobody else on the host."""

from __future__ import annotations

import os
from pathlib import Path

from harness.kernel import syscalls

_HOSTS = "/etc/hosts"


def know(names: str, room: Path) -> None:
    """Have these lines before those of the host's /etc/hosts, for this process and all that it becomes or starts.

    In a mount namespace of its own, so that nothing is left when the last of them ends. room: a directory, hidden while
    this is done. Nothing happens where there is no /etc/hosts. Raises OSError.
    """
    try:
        text = names + Path(_HOSTS).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return
    syscalls.unshare(syscalls.CLONE_NEWNS)
    # What the host mounts and unmounts later (network namespaces, say) is so here too, and not the other way round.
    syscalls.mount("none", "/", "none", syscalls.MS_SLAVE | syscalls.MS_REC)
    syscalls.mount("none", str(room), "tmpfs", 0)
    try:
        file = room / "hosts"
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        os.chmod(file, 0o644)
        syscalls.mount(str(file), _HOSTS, "none", syscalls.MS_BIND)
    finally:
        syscalls.umount(str(room))
