"""Facts about the processors: model, topology, frequency, idling, mitigations, isolation, virtualisation."""

from __future__ import annotations

from collections.abc import Iterable

from harness.kernel.hostfiles import HOST, HostFiles

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

CPU_DIR = "/sys/devices/system/cpu"
VULNERABILITIES = f"{CPU_DIR}/vulnerabilities"
# DMI vendors and products of the hypervisors people meet; the first that matches names the host.
HYPERVISORS = {
    "vmware": ("vmware",),
    "virtualbox": ("virtualbox", "innotek"),
    "xen": ("xen",),
    "hyperv": ("microsoft corporation",),
    "kvm": ("qemu", "kvm", "amazon ec2", "google", "openstack", "bochs"),
    "parallels": ("parallels",),
}


def online_cpus(files: HostFiles = HOST) -> set[int]:
    """CPUs that run programs now; from /proc/stat where sysfs does not say."""
    listed = files.cpus(f"{CPU_DIR}/online")
    if listed:
        return set(listed)
    names = (line.split(" ", 1)[0] for line in files.lines("/proc/stat"))
    return {int(name[3:]) for name in names if name.startswith("cpu") and name[3:].isdigit()}


def cpu_model(files: HostFiles) -> str | None:
    """The processor's name as it states it itself; without one (ARM), its implementer and part numbers."""
    info = files.fields("/proc/cpuinfo")
    if "model name" in info:
        return info["model name"]
    if "CPU part" in info:
        return f"implementer {info.get('CPU implementer', '?')} part {info['CPU part']}"
    return info.get("cpu") or info.get("Model")


def per_cpu(files: HostFiles) -> dict[str, Json]:
    """Place, frequency control and limits of every online CPU, by its number as text."""
    by_cpu: dict[str, Json] = {}
    for cpu in sorted(online_cpus(files)):
        base = f"{CPU_DIR}/cpu{cpu}"
        nodes = _numbered_nodes(files, base)
        by_cpu[str(cpu)] = {
            "package": files.number(f"{base}/topology/physical_package_id"),
            "core": files.number(f"{base}/topology/core_id"),
            "node": nodes[0] if nodes else None,
            "smt_siblings": files.text(f"{base}/topology/thread_siblings_list"),
            "last_level_cache_shared_with": _last_level_cache(files, base),
            "governor": files.text(f"{base}/cpufreq/scaling_governor"),
            "driver": files.text(f"{base}/cpufreq/scaling_driver"),
            "energy_preference": files.text(f"{base}/cpufreq/energy_performance_preference"),
            "min_khz": files.number(f"{base}/cpufreq/scaling_min_freq"),
            "max_khz": files.number(f"{base}/cpufreq/scaling_max_freq"),
        }
    return by_cpu


def _last_level_cache(files: HostFiles, base: str) -> str | None:
    indexes = [name for name in files.names(f"{base}/cache") if name.startswith("index")]
    levels = [(files.number(f"{base}/cache/{name}/level") or 0, name) for name in indexes]
    return files.text(f"{base}/cache/{max(levels)[1]}/shared_cpu_list") if levels else None


def topology(files: HostFiles) -> dict[str, Json]:
    """How many packages, cores and CPUs there are; None where the kernel does not say which core is whose."""
    cpus = sorted(online_cpus(files))
    names = ("physical_package_id", "core_id")
    places = [tuple(files.number(f"{CPU_DIR}/cpu{cpu}/topology/{name}") for name in names) for cpu in cpus]
    known = bool(places) and all(core is not None for _, core in places)
    return {
        "online": list(cpus),
        "packages": len({package for package, _ in places}) if known else None,
        "cores": len(set(places)) if known else None,
        "cpus": len(cpus),
        "isolated": list(files.cpus(f"{CPU_DIR}/isolated") or []),
        # The file says "(null)" where the kernel was built for it and the command line asked for none.
        "nohz_full": list(files.cpus(f"{CPU_DIR}/nohz_full") or []),
    }


def numa_nodes_of(cpus: Iterable[int], files: HostFiles = HOST) -> list[int]:
    """The NUMA nodes that these CPUs belong to; empty on a kernel without any."""
    return sorted({node for cpu in cpus for node in _numbered_nodes(files, f"{CPU_DIR}/cpu{cpu}")})


def _numbered_nodes(files: HostFiles, directory: str) -> list[int]:
    names = files.names(directory)
    return sorted(int(name[4:]) for name in names if name.startswith("node") and name[4:].isdigit())


def numa(files: HostFiles) -> dict[str, Json]:
    """CPUs, memory (bytes) and distances of every NUMA node, by its number as text."""
    base = "/sys/devices/system/node"
    by_node: dict[str, Json] = {}
    for node in _numbered_nodes(files, base):
        memory = files.lines(f"{base}/node{node}/meminfo")
        total = [line.split()[-2] for line in memory if "MemTotal" in line]
        by_node[str(node)] = {
            "cpus": files.text(f"{base}/node{node}/cpulist"),
            "memory_bytes": int(total[0]) * 1024 if total and total[0].isdigit() else None,
            "distances": files.text(f"{base}/node{node}/distance"),
        }
    return by_node


def governor(files: HostFiles) -> str:
    """The frequency governor of all CPUs, several joined by "+"; "none" where none has frequency control."""
    governors = {files.text(f"{CPU_DIR}/cpu{cpu}/cpufreq/scaling_governor") for cpu in online_cpus(files)}
    return "+".join(sorted(name for name in governors if name)) or "none"


def turbo(files: HostFiles) -> bool | None:
    """Whether the processor may raise its clock above the nominal one; None where the kernel does not say."""
    disabled = files.flag(f"{CPU_DIR}/intel_pstate/no_turbo")
    return files.flag(f"{CPU_DIR}/cpufreq/boost") if disabled is None else not disabled


def smt(files: HostFiles) -> str | None:
    """ "on" or "off": whether two CPUs share a core now; None where the kernel does not say."""
    active = files.flag(f"{CPU_DIR}/smt/active")
    return None if active is None else ("on" if active else "off")


def idle(files: HostFiles) -> dict[str, Json]:
    """Idle driver and governor, and the first CPU's idle states with the time each needs to leave, in us."""
    base = f"{CPU_DIR}/cpu{min(online_cpus(files), default=0)}/cpuidle"
    states: list[Json] = [
        {
            "name": files.text(f"{base}/{name}/name"),
            "exit_us": files.number(f"{base}/{name}/latency"),
            "disabled": files.flag(f"{base}/{name}/disable"),
        }
        for name in files.names(base)
    ]
    return {
        "driver": files.text(f"{CPU_DIR}/cpuidle/current_driver"),
        "governor": files.text(f"{CPU_DIR}/cpuidle/current_governor"),
        "states": states,
    }


def vulnerabilities(files: HostFiles) -> dict[str, Json]:
    """The kernel's verdict on every known processor vulnerability, in its own words."""
    return {name: files.text(f"{VULNERABILITIES}/{name}") for name in files.names(VULNERABILITIES)}


def mitigations(files: HostFiles) -> str | None:
    """One comparable phrase: what the command line asked for and what is mitigated; None where unknown.

    Two hosts with one phrase pay for the same mitigations; mitigated ones are those that cost time.
    """
    if not vulnerabilities(files):
        return None
    asked = command_line(files).get("mitigations", "default")
    return f"{asked}: {' '.join(mitigated(files)) or 'none active'}"


def mitigated(files: HostFiles) -> list[str]:
    """The vulnerabilities that this kernel pays for."""
    return [name for name, verdict in vulnerabilities(files).items() if str(verdict).startswith("Mitigation")]


def command_line(files: HostFiles) -> dict[str, str]:
    """The kernel's command line as key to value ("" for a bare word; of a repeated key the last counts)."""
    words = (files.text("/proc/cmdline") or "").split()
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def virtualisation(files: HostFiles) -> str:
    """ "none" on bare metal, else the hypervisor's name, or "unknown hypervisor"."""
    flags = files.fields("/proc/cpuinfo").get("flags", "").split()
    hypervisor = files.text("/sys/hypervisor/type")
    vendor = f"{files.text('/sys/class/dmi/id/sys_vendor')} {files.text('/sys/class/dmi/id/product_name')}"
    sources = files.text("/sys/devices/system/clocksource/clocksource0/available_clocksource") or ""
    named = [name for name, marks in HYPERVISORS.items() if any(mark in vendor.lower() for mark in marks)]
    # A processor of x86 says whether a hypervisor is below it; the others only through the firmware's tables.
    if "hypervisor" not in flags and (flags or not named):
        return hypervisor or "none"
    if hypervisor:
        return hypervisor
    if "kvm-clock" in sources.split() or files.text(f"{CPU_DIR}/cpuidle/current_driver") == "haltpoll":
        return "kvm"
    if "hyperv" in sources:
        return "hyperv"
    return named[0] if named else "unknown hypervisor"


def container(files: HostFiles) -> str | None:
    """The container manager we run in, as far as it leaves its mark; None outside of one."""
    marks = {"docker": "/.dockerenv", "podman": "/run/.containerenv"}
    for name, path in marks.items():
        if files.path(path).exists():
            return name
    environment = (files.text("/proc/1/environ") or "").split("\0")
    return next((word[10:] for word in environment if word.startswith("container=")), None)
