"""The scripts that give a device of one's own the settings of a cell, on one whose offloads the kernel shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.plan import load_experiment
from harness.report.apply import apply_script, undo_script

_FILE = """
name: offloads
topology: {nodes: {client: {}, server: {}}, links: [{between: [client, server]}]}
workload: {kind: ping-pong, from: client, to: server, duration: 1s}
settings: {server: {offloads: {gro: on, tso: off, rx-udp-gro-forwarding: on}, coalesce: {gro_flush_timeout: 20us}}}
"""


def test_short_names_of_offloads_are_put_back_and_what_went_with_the_device_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(_FILE)
    spec = load_experiment(tmp_path / "file.yaml").cells[0].spec
    (tmp_path / "apply.sh").write_text(apply_script("offloads", spec))
    (tmp_path / "undo.sh").write_text(undo_script("offloads"))
    script = f"""
        mount -t sysfs none /sys && ip link add dev pbapply0 type veth peer name pbapply1
        cd {tmp_path}
        shown() {{ ethtool -k pbapply0 | grep -E '^(generic-receive|tcp-segm|rx-udp-gro)' | sort; }}
        shown >before; sh apply.sh server pbapply0; shown >applied; sh undo.sh; shown >after
        sh apply.sh server pbapply0; ip link del dev pbapply0; sh undo.sh; ls undo.list
        sh apply.sh server ..
    """
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    before, applied, after = ((tmp_path / name).read_text() for name in ("before", "applied", "after"))
    assert [line.split()[1] for line in applied.splitlines()] == ["on", "on", "off"], done.stderr
    assert before == after != applied
    assert done.stdout.count("put back") == 2, done.stderr
    assert "no name of a device: .." in done.stderr
    assert not (tmp_path / "undo.list").exists()
