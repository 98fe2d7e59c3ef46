"""What this host is, for the record of a measurement and to compare two: manifest and environment."""

from __future__ import annotations

import gzip
import os
import platform
from pathlib import Path

from harness.kernel import cpufacts
from harness.kernel.cpufacts import Json
from harness.kernel.hostfiles import HOST, HostFiles

CLOCK = "/sys/devices/system/clocksource/clocksource0"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"
IOMMU_GROUPS = "/sys/kernel/iommu_groups"
SOCKET_MEMORY = ("rmem_default", "rmem_max", "wmem_default", "wmem_max")
"""Of net.core, for the sockets of every namespace: captures by netsniff-ng raise them while they run."""
# Options of the kernel's build that move latencies or decide what can be measured at all.
CONFIG_PREFIXES = (
    "HZ PREEMPT NO_HZ NET_RX_BUSY_POLL IRQ_TIME_ACCOUNTING TICK_CPU_ACCOUNTING VIRT_CPU_ACCOUNTING RT_GROUP_SCHED "
    "SCHED_AUTOGROUP SCHED_CORE SCHEDSTATS CPU_IDLE_GOV HALTPOLL RCU_NOCB PARAVIRT VETH NET_SCH_ CGROUPS BPF_JIT "
    "DEBUG_PREEMPT LOCKDEP= KASAN= PROVE_LOCKING"
)

# Asked for by many who want no other fact.
online_cpus, numa_nodes_of = cpufacts.online_cpus, cpufacts.numa_nodes_of


def environment(root: Path | str = "/") -> dict[str, str | None]:
    """The flat, comparable facts that stand beside every run; None where the host does not say."""
    files = HostFiles(root)
    return {
        "kernel": kernel_release(files),
        "cpu_model": cpufacts.cpu_model(files),
        "mitigations": cpufacts.mitigations(files),
        "governor": cpufacts.governor(files),
        "smt": cpufacts.smt(files),
        "iommu": iommu(files),
        "clocksource": files.text(f"{CLOCK}/current_clocksource"),
        "rt_throttle": rt_throttle(files),
        "virtualisation": cpufacts.virtualisation(files),
        "place": "host",
        "accelerator": "",
        "emulator": "",
    }


def rt_throttle(files: HostFiles) -> str | None:
    """How much of each period real-time tasks may take, "950000/1000000 us", or "off"; None where it is not told."""
    runtime = files.number("/proc/sys/kernel/sched_rt_runtime_us")
    period = files.number("/proc/sys/kernel/sched_rt_period_us")
    if runtime is None or period is None:
        return None
    return "off" if runtime < 0 else f"{runtime}/{period} us"


def manifest(root: Path | str = "/") -> dict[str, Json]:
    """Everything about this host that could explain a latency, as nested JSON; None where it does not say."""
    # Imported here: it brings the metadata of all packages, and a guest, which has no use for it, waits.
    from harness.kernel import software

    files = HostFiles(root)
    return {
        "kernel": kernel(files),
        "cpu": {
            "model": cpufacts.cpu_model(files),
            "architecture": platform.machine(),
            "microcode": files.fields("/proc/cpuinfo").get("microcode"),
            "topology": cpufacts.topology(files),
            "smt": cpufacts.smt(files),
            "smt_control": files.text(f"{cpufacts.CPU_DIR}/smt/control"),
            "turbo": cpufacts.turbo(files),
            "idle": cpufacts.idle(files),
            "vulnerabilities": cpufacts.vulnerabilities(files),
            "per_cpu": cpufacts.per_cpu(files),
        },
        "numa": cpufacts.numa(files),
        "virtualisation": {"hypervisor": cpufacts.virtualisation(files), "container": cpufacts.container(files)},
        "iommu": {"mode": iommu(files), "groups": len(files.names(IOMMU_GROUPS))},
        "clocksource": {
            "current": files.text(f"{CLOCK}/current_clocksource"),
            "available": list(available_clocks(files)),
        },
        "memory": memory(files),
        "scheduling": scheduling(files),
        "network": network(files),
        "load": load(files),
        "software": {**software.versions(files), **software.git_commit()},
        "environment": dict(environment(root)),
    }


def kernel_release(files: HostFiles) -> str | None:
    """The running kernel's release, such as 6.18.44."""
    return files.text("/proc/sys/kernel/osrelease")


def kernel(files: HostFiles) -> dict[str, Json]:
    """Release, build, command line, and the options of the build that matter here (None: build unknown)."""
    config = _config(files)
    return {
        "release": kernel_release(files),
        "version": files.text("/proc/sys/kernel/version"),
        "cmdline": files.text("/proc/cmdline"),
        "tainted": files.number("/proc/sys/kernel/tainted"),
        "preempt": files.chosen("/sys/kernel/debug/sched/preempt"),
        "config": None if config is None else dict(config),
    }


def _config(files: HostFiles) -> dict[str, str] | None:
    text: str | None
    try:
        text = gzip.decompress(files.read_bytes("/proc/config.gz")).decode()
    except (OSError, EOFError, ValueError):  # there is none, or it is damaged
        text = files.text(f"/boot/config-{kernel_release(files)}")
    if text is None:
        return None
    prefixes = tuple(f"CONFIG_{name}" for name in CONFIG_PREFIXES.split())
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith(prefixes))
    return {key: value.strip('"') for key, _, value in pairs}


def iommu(files: HostFiles) -> str:
    """How devices reach memory: "none", or the kinds of the groups' domains: "identity", "DMA-FQ"."""
    groups = files.names(IOMMU_GROUPS)
    kinds = {files.text(f"{IOMMU_GROUPS}/{group}/type") or "unknown" for group in groups}
    return "+".join(sorted(kinds)) or "none"


def memory(files: HostFiles) -> dict[str, Json]:
    """Sizes in bytes, huge pages and swap."""
    fields = files.fields("/proc/meminfo")

    def size(key: str) -> int | None:
        number = fields.get(key, "").split(" ")[0]
        return int(number) * 1024 if number.isdigit() else None

    return {
        "total_bytes": size("MemTotal"),
        "available_bytes": size("MemAvailable"),
        "swap_bytes": size("SwapTotal"),
        "huge_pages": files.number("/proc/sys/vm/nr_hugepages"),
        "transparent_huge_pages": files.chosen(f"{HUGE_PAGES}/enabled"),
        "transparent_huge_pages_defrag": files.chosen(f"{HUGE_PAGES}/defrag"),
        "same_page_merging": files.flag("/sys/kernel/mm/ksm/run"),
    }


def scheduling(files: HostFiles) -> dict[str, Json]:
    """Settings and services that decide which task, timer or interrupt runs where."""
    command_line = cpufacts.command_line(files)
    return {
        "autogroup": files.flag("/proc/sys/kernel/sched_autogroup_enabled"),
        "timer_migration": files.flag("/proc/sys/kernel/timer_migration"),
        "rt_runtime_us": files.number("/proc/sys/kernel/sched_rt_runtime_us"),
        "numa_balancing": files.number("/proc/sys/kernel/numa_balancing"),
        "irqbalance": files.runs("irqbalance"),
        "asked_at_boot": {
            key: command_line.get(key) for key in ("isolcpus", "nohz_full", "rcu_nocbs", "irqaffinity", "idle")
        },
    }


def network(files: HostFiles) -> dict[str, Json]:
    """The host-wide settings of the network that pollbench's knobs start from."""
    core = "/proc/sys/net/core"
    names = ("busy_read", "busy_poll", "netdev_budget", "netdev_budget_usecs", "dev_weight", "default_qdisc")
    return {name: files.text(f"{core}/{name}") for name in (*names, *SOCKET_MEMORY)}


def load(files: HostFiles) -> dict[str, Json]:
    """Uptime, load averages over 1, 5 and 15 minutes, the share of CPU time stolen since boot (0 to 1)."""
    ticks = total_ticks(files)
    return {
        "uptime_s": next(iter(numbers(files, "/proc/uptime")), None),
        "averages": list(numbers(files, "/proc/loadavg")[:3]),
        "steal_share": round(ticks[1] / ticks[0], 6) if ticks and ticks[0] else None,
        "allowed_cpus": [*sorted(os.sched_getaffinity(0))],
    }


def numbers(files: HostFiles, name: str) -> list[float]:
    """The leading decimal numbers of a file such as /proc/loadavg."""
    values: list[float] = []
    for word in (files.text(name) or "").split():
        try:
            values.append(float(word))
        except ValueError:
            break
    return values


def available_clocks(files: HostFiles) -> list[str]:
    """Clock sources the kernel could use, best first."""
    return (files.text(f"{CLOCK}/available_clocksource") or "").split()


def total_ticks(files: HostFiles) -> tuple[int, int] | None:
    """Ticks of all CPUs since boot: (all, stolen by the hypervisor). None where /proc/stat does not say."""
    first = (files.text("/proc/stat") or "").partition("\n")[0].split()
    values = [int(value) for value in first[1:9] if value.isdigit()]
    return (sum(values), values[7]) if len(values) == 8 else None


def uptime_s() -> float:
    """Seconds since this kernel started."""
    return next(iter(numbers(HOST, "/proc/uptime")), 0.0)


def boot_id() -> str:
    """A name for this boot of the host; empty where the kernel does not say."""
    return HOST.text("/proc/sys/kernel/random/boot_id") or ""


def kvm_openable() -> bool:
    """Can this user open /dev/kvm? (That it opens says nothing of whether it works.)"""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def kvm_module() -> str:
    """The module behind KVM, such as kvm_intel or kvm_pvm; empty where none is loaded."""
    return "+".join(name for name in HOST.names("/sys/module") if name.startswith("kvm_"))
