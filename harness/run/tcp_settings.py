"""What TCP of each node was set to while a run was made: a host's default is no other host's."""

from __future__ import annotations

from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.kernel.routes import FirstWindows, first_windows, unicast_routes
from harness.store.record import Columns
from harness.testbed import Testbed

# The columns of nodes.csv, and the sysctls they are read from.
_COLUMNS = {
    "tcp_congestion_control": "net.ipv4.tcp_congestion_control",
    "tcp_ecn": "net.ipv4.tcp_ecn",
    "tcp_rmem_bytes": "net.ipv4.tcp_rmem",
    "tcp_wmem_bytes": "net.ipv4.tcp_wmem",
}


def read(testbed: Testbed) -> dict[str, Columns]:
    """Columns by node; without what a kernel does not tell. Raises OSError where a namespace is gone."""
    columns: dict[str, Columns] = {}
    for name, node in testbed.nodes.items():
        with in_netns(node.fd), NetlinkSocket() as sock:
            texts = {column: HOST.text(sysctl_file(sysctl)) for column, sysctl in _COLUMNS.items()}
            routes = unicast_routes(sock, testbed.layout.topology.family)
        columns[name] = {column: " ".join(text.split()) for column, text in texts.items() if text is not None}
        # Of routes that say nothing the kernel decides.
        windows = [first_windows(route) for route in routes]
        for part in FirstWindows._fields:
            said = {getattr(one, part) for one in windows} - {0}
            columns[name] |= {f"tcp_{part}": ",".join(map(str, sorted(said)))} if said else {}
    return columns
