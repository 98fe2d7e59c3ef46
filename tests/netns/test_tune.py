"""A real tuning on this host: killed, resumed, replayed; its best setting as an experiment, and applied to a device."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import yaml

from harness.kernel.journal import host_lock
from harness.report.apply import apply_script, undo_script
from harness.spec.load import load_experiment
from tests import command

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = {
    "name": "tuned",
    "topology": {
        "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "0"}},
        "links": [{"between": ["client", "server"]}],
    },
    "workload": {
        "kind": "ping-pong", "from": "client", "to": "server", "protocol": "udp", "warmup": "5ms", "duration": "100ms",
    },
    "checks": {"max_foreign_share": "100%", "max_steal_share": "100%", "max_starved_share": "100%"},
    "tune": {
        "space": {
            "settings.*.coalesce": [
                "none",
                {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "100us"},
                {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "5ms"},
            ]
        },
        "goal": {"most": "rtt_min_us"},
        "against": {"settings": {"*": {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "100us"}}}},
    },
}  # fmt: skip


def test_a_tuning_is_resumed_replayed_and_applied(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
    stopped = command.run("tune", path, "-o", tmp_path / "out", "--budget", "200ms")
    assert stopped.returncode == 1, stopped.stderr
    assert "none" in stopped.stdout
    (results,) = (tmp_path / "out" / "tuned").iterdir()
    asked = (results / "manifest.json").read_bytes()
    with host_lock():
        assert command.run("tune", "--resume", results, "--within", "50%").returncode == 3
    assert (results / "manifest.json").read_bytes() == asked
    ended = command.run("tune", "--resume", results, "--budget", "10min")
    assert ended.returncode in (0, 1), ended.stderr
    answer = json.loads((results / "tune.json").read_bytes())
    assert answer["steps"][-1]["kind"] == "confirm"
    # The slowest is wanted, and no wait for a CPU makes the least time of a run less.
    assert answer["settings"][answer["best"]] == {
        "settings.*.coalesce": "{napi_defer_hard_irqs: 100, gro_flush_timeout: 5ms}"
    }
    assert "higher" in ended.stdout
    judged = command.run("tune", "--judge", results, "--json")
    assert judged.returncode == ended.returncode
    assert "replayed: the same decisions" in judged.stderr
    front = command.run("tune", "--judge", results, "--pareto", "rtt_min_us,cpu_us_per_request", "--json")
    listed = json.loads(front.stdout)["front"]["settings"]
    assert listed[0]["setting"] in answer["settings"], front.stderr
    assert listed == sorted(listed, key=lambda one: one["rtt_min_us"]["median"])
    shown = command.run("show", results, "--baseline", "today")
    assert shown.returncode == 0
    assert "s02" in shown.stdout
    best = command.run("validate", results / "best.yaml")
    assert "2 cells" in best.stdout, best.stderr
    verified = command.run("tune", "--verify", results, "-o", tmp_path / "again")
    assert "higher" in verified.stdout, verified.stderr
    assert "the best is still better" in verified.stdout
    _apply_and_undo(results)
    _made_to_last(results, tmp_path / "root")


def _apply_and_undo(results: Path) -> None:
    """On a device of a namespace of our own, whose sysfs shows what the kernel has."""
    script = f"""
        mount -t sysfs none /sys && ip link add dev pbtune0 type veth peer name pbtune1
        cd /sys/class/net/pbtune0; echo 7 >napi_defer_hard_irqs
        sh {results}/apply.sh server pbtune0; cat napi_defer_hard_irqs gro_flush_timeout
        sh {results}/apply.sh server pbtune0 && exit 9
        sh {results}/undo.sh; cat napi_defer_hard_irqs gro_flush_timeout
        sh {results}/apply.sh nobody pbtune0; echo $?
    """
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["100", "5000000", "undo.sh:", "put", "back", "7", "0", "2"], done.stderr
    assert "type undo.sh first" in done.stderr


def test_the_script_sets_queues_and_moves_interrupts(tmp_path: Path) -> None:
    """Queues of a real veth; interrupts of one whose sysfs and /proc/irq are made up, for a veth has none."""
    knobs = {"channels": {"rx": 2}, "irq_affinity": {"cpus": "2-3"}}
    plain = {key: DOCUMENT[key] for key in ("name", "topology", "workload")} | {"settings": {"server": knobs}}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    spec = load_experiment(tmp_path / "t.yaml").cells[0].spec
    (tmp_path / "apply.sh").write_text(apply_script("t", spec))
    (tmp_path / "undo.sh").write_text(undo_script("t"))
    script = f"""
        ip link add dev pbtune0 numrxqueues 4 numtxqueues 4 type veth peer name pbtune1 numrxqueues 4 numtxqueues 4
        ethtool -L pbtune0 rx 4
        mount -t tmpfs none /sys; mount -t tmpfs none /proc/irq
        mkdir -p /sys/bus/virtio /sys/pci/msi_irqs/41 /sys/pci/virtio0 /sys/class/net/pbtune0 /proc/irq/41
        ln -s ../../bus/virtio /sys/pci/virtio0/subsystem; ln -s ../../../pci/virtio0 /sys/class/net/pbtune0/device
        echo 0-1 >/proc/irq/41/smp_affinity_list
        look() {{ cat /proc/irq/41/smp_affinity_list; echo; ethtool -l pbtune0 | grep ^RX: | tail -n 1; }}
        sh {tmp_path}/apply.sh server pbtune0; look; sh {tmp_path}/undo.sh; look
    """
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["2,3", "RX:", "2", "undo.sh:", "put", "back", "0-1", "RX:", "4"], done.stderr


def _made_to_last(results: Path, root: Path) -> None:
    """The unit, in a root of its own: systemd finds nothing wrong with it, its commands work, and it can be removed."""
    if shutil.which("systemd-analyze") is None:
        return
    root.mkdir()
    script = results / "persist.sh"

    def persist(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ROOT": str(root)}
        return subprocess.run(["sh", script, *words], env=environment, capture_output=True, text=True, check=False)

    assert persist("nobody", "pbtune0").returncode == 2
    made = persist("server", "pbtune0")
    assert made.returncode == 0, made.stderr
    (unit,) = (root / "etc/systemd/system").glob("*.service")
    wanted = root / "etc/systemd/system/sys-subsystem-net-devices-pbtune0.device.wants" / unit.name
    assert wanted.is_symlink()
    # What units of every system stand on is looked up below the root, too.
    shutil.copytree("/lib/systemd/system", root / "lib/systemd/system", symlinks=True)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", unit.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    shutil.rmtree(root / "lib")
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    start, stop = (f"{root}{lines[key]}".replace("/run/", f"{root}/") for key in ("ExecStart", "ExecStopPost"))
    commands = f"""
        mount -t sysfs none /sys && ip link add dev pbtune0 type veth peer name pbtune1
        cd /sys/class/net/pbtune0; {start}; cat gro_flush_timeout; {stop}; cat gro_flush_timeout
    """
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", commands], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["5000000", "undo.sh:", "put", "back", "0"], done.stderr
    assert persist("server", "pbtune0").returncode == 2
    assert persist("--undo", "pbtune0").returncode == 0
    assert not [path for path in root.rglob("*") if path.is_file() or path.is_symlink()]
