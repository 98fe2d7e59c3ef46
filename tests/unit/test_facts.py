"""Facts and advice about a host, read from trees of files that stand in for real hosts."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.kernel import advice, cpufacts, facts, software
from harness.kernel.hostfiles import HostFiles

CPU = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0"

# A two-socket server with SMT on bare metal, set up the way latency people would object to.
SERVER = {
    "proc/sys/kernel/osrelease": "6.12.9-amd64\n",
    "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 mitigations=auto,nosmt isolcpus=2,3 intel_iommu=on\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 9354\nflags\t\t: fpu tsc\nmicrocode\t: 0xa10\n",
    "proc/stat": "cpu  100 0 50 800 10 0 20 20 0 0\ncpu0 50 0 25 400 5 0 10 10 0 0\n",
    "proc/loadavg": "7.50 3.00 1.00 2/300 4711\n",
    "proc/uptime": "12345.67 4000.00\n",
    "proc/meminfo": "MemTotal:       1000 kB\nMemAvailable:    500 kB\nSwapTotal:         0 kB\n",
    "proc/77/comm": "irqbalance\n",
    "proc/sys/kernel/sched_autogroup_enabled": "1\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "2-3\n",
    f"{CPU}/nohz_full": "  (null)\n",
    f"{CPU}/smt/active": "1\n",
    f"{CPU}/smt/control": "on\n",
    f"{CPU}/intel_pstate/no_turbo": "0\n",
    f"{CPU}/cpuidle/current_driver": "acpi_idle\n",
    f"{CPU}/cpu0/cpuidle/state0/name": "POLL\n",
    f"{CPU}/cpu0/cpuidle/state0/latency": "0\n",
    f"{CPU}/cpu0/cpuidle/state2/name": "C2\n",
    f"{CPU}/cpu0/cpuidle/state2/latency": "800\n",
    f"{CPU}/vulnerabilities/spectre_v2": "Mitigation: Retpolines\n",
    f"{CPU}/vulnerabilities/meltdown": "Not affected\n",
    f"{CPU}/vulnerabilities/retbleed": "Vulnerable\n",
    f"{CLOCK}/current_clocksource": "hpet\n",
    f"{CLOCK}/available_clocksource": "tsc hpet acpi_pm\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/kernel/iommu_groups/0/type": "DMA-FQ\n",
    "sys/kernel/iommu_groups/1/type": "identity\n",
    "sys/class/dmi/id/sys_vendor": "Supermicro\n",
    "sys/devices/system/node/node0/cpulist": "0-1\n",
    "sys/devices/system/node/node0/meminfo": "Node 0 MemTotal:       2048 kB\n",
    "sys/devices/system/node/node0/distance": "10 21\n",
}
for _cpu in range(4):
    SERVER |= {
        f"{CPU}/cpu{_cpu}/topology/physical_package_id": f"{_cpu // 2}\n",
        f"{CPU}/cpu{_cpu}/topology/core_id": "0\n",
        f"{CPU}/cpu{_cpu}/topology/thread_siblings_list": "0-1\n" if _cpu < 2 else "2-3\n",
        f"{CPU}/cpu{_cpu}/cpufreq/scaling_governor": "powersave\n" if _cpu else "performance\n",
        f"{CPU}/cpu{_cpu}/cache/index0/level": "1\n",
        f"{CPU}/cpu{_cpu}/cache/index3/level": "3\n",
        f"{CPU}/cpu{_cpu}/cache/index3/shared_cpu_list": "0-3\n",
        f"{CPU}/cpu{_cpu}/node{_cpu // 2}/cpulist": "\n",
    }


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write files below root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The server's tree."""
    return tree(tmp_path, SERVER)


def test_environment_of_a_server(server: Path) -> None:
    assert facts.environment(server) == {
        "kernel": "6.12.9-amd64",
        "cpu_model": "AMD EPYC 9354",
        "mitigations": "auto,nosmt: spectre_v2",
        "governor": "performance+powersave",
        "smt": "on",
        "iommu": "DMA-FQ+identity",
        "clocksource": "hpet",
        "rt_throttle": None,
        "virtualisation": "none",
        "place": "host",
        "accelerator": "",
        "emulator": "",
    }


def test_manifest_of_a_server(server: Path) -> None:
    (server / "proc/config.gz").write_bytes(
        gzip.compress(b"CONFIG_HZ=1000\n# CONFIG_KASAN is not set\nCONFIG_EXT4_FS=y\n")
    )
    manifest = json.loads(json.dumps(facts.manifest(server)))
    assert manifest["kernel"]["config"] == {"CONFIG_HZ": "1000"}
    assert manifest["cpu"]["topology"] == {
        "online": [0, 1, 2, 3],
        "packages": 2,
        "cores": 2,
        "cpus": 4,
        "isolated": [2, 3],
        "nohz_full": [],
    }
    assert manifest["cpu"]["turbo"] is True
    assert manifest["cpu"]["per_cpu"]["2"] == {
        "package": 1,
        "core": 0,
        "node": 1,
        "smt_siblings": "2-3",
        "last_level_cache_shared_with": "0-3",
        "governor": "powersave",
        "driver": None,
        "energy_preference": None,
        "min_khz": None,
        "max_khz": None,
    }
    assert manifest["numa"] == {"0": {"cpus": "0-1", "memory_bytes": 2048 * 1024, "distances": "10 21"}}
    assert manifest["memory"]["transparent_huge_pages"] == "madvise"
    assert manifest["scheduling"]["irqbalance"] is True
    assert manifest["scheduling"]["asked_at_boot"]["isolcpus"] == "2,3"
    assert manifest["load"]["steal_share"] == 0.02
    assert manifest["load"]["uptime_s"] == 12345.67


def test_an_empty_tree_is_no_error(tmp_path: Path) -> None:
    manifest = facts.manifest(tmp_path)
    json.dumps(manifest)
    assert facts.online_cpus(HostFiles(tmp_path)) == set()
    assert facts.environment(tmp_path)["cpu_model"] is None
    assert manifest["kernel"] == dict.fromkeys(("release", "version", "cmdline", "tainted", "preempt", "config"))
    assert len(advice.advice(tmp_path)) == 7


def test_damaged_files_are_no_error(server: Path) -> None:
    for name in SERVER:
        (server / name).write_bytes(b"\xff\xfe nonsense [\n")
    (server / "proc/config.gz").write_bytes(b"not gzip")
    json.dumps(facts.manifest(server))
    advice.advice(server)


def test_config_beside_the_kernel(server: Path) -> None:
    tree(server, {"boot/config-6.12.9-amd64": 'CONFIG_HZ=250\nCONFIG_NET_SCH_NETEM=m\nCONFIG_LOCALVERSION="x"\n'})
    kernel = facts.kernel(HostFiles(server))
    assert kernel["config"] == {"CONFIG_HZ": "250", "CONFIG_NET_SCH_NETEM": "m"}


def test_online_cpus_without_sysfs(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/stat": "cpu  1 2\ncpu0 1 2\ncpu5 1 2\nintr 7\n"})
    assert facts.online_cpus(HostFiles(tmp_path)) == {0, 5}


def test_online_cpus_of_this_host() -> None:
    assert set(os.sched_getaffinity(0)) <= facts.online_cpus()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/cpuinfo": "flags : fpu hypervisor\n"}, "unknown hypervisor"),
        ({"proc/cpuinfo": "flags : fpu hypervisor\n", f"{CLOCK}/available_clocksource": "tsc kvm-clock"}, "kvm"),
        ({"proc/cpuinfo": "flags : hypervisor\n", "sys/hypervisor/type": "xen\n"}, "xen"),
        ({"proc/cpuinfo": "flags : hypervisor\n", "sys/class/dmi/id/sys_vendor": "VMware, Inc.\n"}, "vmware"),
        # The maker of a hypervisor also makes computers: without the processor's flag it is bare metal.
        ({"proc/cpuinfo": "flags : fpu\n", "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n"}, "none"),
        # ARM has no such flag: only the firmware's tables tell.
        ({"proc/cpuinfo": "CPU part : 0xd0c\n", "sys/class/dmi/id/sys_vendor": "QEMU\n"}, "kvm"),
        ({"proc/cpuinfo": "CPU part : 0xd0c\n"}, "none"),
    ],
)
def test_virtualisation(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    assert cpufacts.virtualisation(HostFiles(tree(tmp_path, files))) == expected


def test_container(tmp_path: Path) -> None:
    assert cpufacts.container(HostFiles(tmp_path)) is None
    tree(tmp_path, {"proc/1/environ": "PATH=/bin\0container=lxc\0"})
    assert cpufacts.container(HostFiles(tmp_path)) == "lxc"


def test_advice_finds_what_is_wrong(server: Path) -> None:
    found = {item.check: item for item in advice.advice(server)}
    bad = {check for check, item in found.items() if not item.good}
    assert bad == {"clock source", "SMT", "stolen time", "load"}
    assert found["clock source"].todo == f"echo tsc | sudo tee /{CLOCK}/current_clocksource"
    assert found["stolen time"].state == "2.0% since boot"
    of_runs = advice.stolen_in_runs([0.0, 0.05, 0.3], "results/a/b")
    assert of_runs.state == "5.0% in the middle one of 3 runs of results/a/b, 30.0% at most" and not of_runs.good
    assert all(item.why and item.todo for item in found.values())


def test_advice_is_content_with_a_quiet_host(server: Path) -> None:
    tree(
        server,
        {
            "proc/stat": "cpu  100 0 50 800 10 0 20 0 0 0\n",
            "proc/loadavg": "0.10 0.00 0.00 1/2 3\n",
            "proc/77/comm": "sshd\n",
            "proc/sys/kernel/sched_autogroup_enabled": "0\n",
            f"{CPU}/smt/active": "0\n",
            f"{CPU}/intel_pstate/no_turbo": "1\n",
            f"{CPU}/cpu0/cpuidle/state2/disable": "1\n",
            f"{CLOCK}/current_clocksource": "tsc\n",
            **{f"{CPU}/cpu{cpu}/cpufreq/scaling_governor": "performance\n" for cpu in range(4)},
        },
    )
    assert [item.check for item in advice.advice(server) if not item.good] == []


def test_git_commit(tmp_path: Path) -> None:
    assert software.git_commit(tmp_path) == {"commit": None, "modified": None}
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    tree(tmp_path, {"file": "one\n"})
    git("add", "file")
    git("commit", "-qm", "one")
    assert software.git_commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "modified": False}
    tree(tmp_path, {"file": "two\n", "untracked": "\n"})
    assert software.git_commit(tmp_path)["modified"] is True


@pytest.mark.usefixtures("require_root")
def test_git_commit_of_another_users_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    tree(checkout, {"file": "one\n"})
    git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    for path in [checkout, *checkout.rglob("*")]:
        os.chown(path, 1000, 1000)
    found = software.git_commit(checkout)
    assert found["commit"]
    assert found["modified"] is False
    assert {path.stat().st_uid for path in checkout.rglob("*")} == {1000}
