"""Fleet hosts for tests: real sshd in namespaces of the test's own, with keys, state and processes of their own.

Each host is a network namespace on a bridge that lies in a further one, the controller's; nothing is plugged into the
machine's own. A host's processes are a PID namespace, so that a host can be killed as a whole; its /run/pollbench and
/run/netns are its own, so that hosts do not get into each other's way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import command

POLLBENCH = Path(sys.executable).parent / "pollbench"
ROOT = Path(__file__).parent.parent.parent
_SSHD = "/usr/sbin/sshd"
_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
# Not root's own: what its shell does at each login takes time, and a host that is killed may leave a lock of it behind.
SetEnv HOME={home}
Subsystem sftp internal-sftp
# Also for users who may not enter the directory of the tests.
AuthorizedKeysCommand /bin/cat {home}/authorized_keys
AuthorizedKeysCommandUser root
"""
# The mounts are private to the host; the state directory stays on the disk, as on a host that reboots.
_BOOT = """\
mount -t tmpfs none /run/pollbench && mount -t tmpfs none /run/netns && mount -t proc proc /proc && {more}
exec {sshd} -D -e -f {home}/sshd_config
"""


def available() -> str:
    """Why there can be no such hosts here; "" where there can."""
    if not os.path.exists(_SSHD):
        return "needs sshd: apt install openssh-server"
    return ""


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


@dataclass
class SshHost:
    """One host. directory: its pollbench_dir; users: lines of /etc/passwd that it alone has, from its next boot."""

    name: str
    address: str
    netns: str
    home: Path
    small_disk_kb: int = 0
    users: str = ""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        return self.home / "fleet"

    def boot(self) -> None:
        """Start sshd, alone in namespaces of its own; returns when it listens."""
        self.directory.mkdir(exist_ok=True)
        (self.home / "sshd_config").write_text(_CONFIG.format(address=self.address, home=self.home))
        more = f"mount -t tmpfs -o size={self.small_disk_kb}k none {self.directory} && " if self.small_disk_kb else ""
        if self.users:
            # Users that this host alone has; nobody knows a password of them, and none is locked.
            for name, lines in (("passwd", self.users), ("shadow", f"{self.users.partition(':')[0]}:*:1::::::\n")):
                path = self.home / name
                path.write_text(Path(f"/etc/{name}").read_text() + lines)
                more += f"mount --bind {path} /etc/{name} && "
        script = _BOOT.format(sshd=_SSHD, home=self.home, more=more)
        words = [
            "nsenter",
            f"--net=/run/netns/{self.netns}",
            "unshare",
            "-m",
            "-p",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            script,
        ]
        log = open(self.home / "sshd.log", "ab")  # noqa: SIM115
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 10
        while b"Server listening" not in (self.home / "sshd.log").read_bytes():
            assert self._process.poll() is None and time.monotonic() < deadline, (self.home / "sshd.log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut: every process of the host is gone, unasked."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None
            (self.home / "sshd.log").unlink()


@dataclass
class Bed:
    """The hosts, the controller's namespace in which `pollbench fleet` runs, and the program that hosts have of it."""

    home: Path
    controller: str
    program: Path
    hosts: dict[str, SshHost] = field(default_factory=dict)

    def wire(self, one: str, other: str, device: str = "eth1") -> None:
        """A cable between two hosts, a veth for their NICs, up and addressed as a lab's would be."""
        first, second = self.hosts[one].netns, self.hosts[other].netns
        ends = ["link", "add", device, "netns", first, "type", "veth", "peer", "name", device, "netns", second]
        _run("ip", *ends)
        for number, netns in enumerate((first, second), 1):
            _address(netns, device, number)

    def plug(self, name: str, number: int, device: str = "eth1") -> None:
        """A host's NIC into a switch: when the host is gone, the others keep their carrier."""
        inside = ["ip", "-n", self.controller]
        if subprocess.run([*inside, "link", "show", "lab"], capture_output=True, check=False).returncode:
            _run(*inside, "link", "add", "lab", "type", "bridge")
            _run(*inside, "link", "set", "lab", "up")
        netns, port = self.hosts[name].netns, f"lab-{name}"
        # Of a host that has been killed the old one may still be about.
        subprocess.run([*inside, "link", "delete", port], capture_output=True, check=False)
        _run(*inside, "link", "add", port, "type", "veth", "peer", "name", device, "netns", netns)
        _run(*inside, "link", "set", port, "master", "lab", "up")
        # Else the NIC does not receive by NAPI, as a card would.
        _run("ip", "netns", "exec", self.controller, "ethtool", "-K", port, "tso", "off")
        _address(netns, device, number)

    def inventory(self, **variables: dict[str, str]) -> Path:
        """An INI inventory of all hosts; variables: further host_vars by host."""
        key = self.home / "key"
        common = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20"
        lines = ["[fleet]"]
        for host in self.hosts.values():
            words = {
                "ansible_host": host.address,
                "pollbench_dir": str(host.directory),
                "pollbench_command": str(self.program),
            } | variables.get(host.name, {})
            lines.append(" ".join([host.name, *(f"{name}='{value}'" for name, value in words.items() if value)]))
        lines += [
            "[fleet:vars]",
            "ansible_user=root",
            f"ansible_python_interpreter={sys.executable}",
            f"ansible_ssh_private_key_file={key}",
            f"ansible_ssh_common_args='{common}'",
        ]
        path = self.home / "inventory.ini"
        path.write_text("\n".join(lines) + "\n")
        return path

    def command(self, words: Sequence[str]) -> list[str]:
        """A command line that runs where the hosts can be reached."""
        return ["nsenter", f"--net=/run/netns/{self.controller}", *words]

    def start(self, *words: str, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
        """`pollbench WORDS...` in the controller's namespace."""
        # Control sockets of ssh have short names only in a short directory.
        env = {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.home / "cp"), "HOME": str(self.home)} | more
        return command.start(*words, cwd=cwd or self.home, env=env, netns=self.controller)

    def pollbench(self, *words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """The same, to its end; env: variables of its environment."""
        process = self.start(*words, cwd=cwd, **env)
        out, err = process.communicate(timeout=500)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def _address(netns: str, device: str, number: int) -> None:
    inside = ["ip", "-n", netns]
    _run(*inside, "link", "set", device, "mtu", "1400", "up")
    _run(*inside, "address", "add", f"192.0.2.{number}/24", "dev", device, "label", f"{device}:lab")
    _run(*inside, "address", "add", f"192.0.2.{number + 10}/24", "dev", device)
    _run(*inside, "route", "add", "198.51.100.0/24", "via", f"192.0.2.{3 - number}", "metric", "7")


@contextlib.contextmanager
def open_bed(
    home: Path,
    names: Sequence[str],
    small_disk_kb: dict[str, int] | None = None,
    network: str = "10.99.0",
    fresh: bool = False,
) -> Iterator[Bed]:
    """Hosts with these names for the block; afterwards nothing of them is left but the files below `home`.

    network: the first three bytes of their addresses; the first host's last byte is 11. fresh: what hosts start is the
    real program; else it is forked, as by command.start.
    """
    lead = f"pbtest-{os.getpid()}-"
    for directory in ("/run/pollbench", "/run/netns", "/run/sshd"):
        os.makedirs(directory, exist_ok=True)
    with contextlib.ExitStack() as stack:
        bed = Bed(home, f"{lead}controller", POLLBENCH)
        if not fresh:
            bed.program = stack.enter_context(command.door(home / "door"))
        _run("ip", "netns", "add", bed.controller)
        stack.callback(_run, "ip", "netns", "delete", bed.controller)
        inside = ["ip", "-n", bed.controller]
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "add", "bridge", "type", "bridge")
        _run(*inside, "address", "add", f"{network}.1/24", "dev", "bridge")
        _run(*inside, "link", "set", "bridge", "up")
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key"))
        for number, name in enumerate(names, 1):
            host = SshHost(
                name, f"{network}.{10 + number}", f"{lead}{name}", home / name, (small_disk_kb or {}).get(name, 0)
            )
            host.home.mkdir()
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.home / "host_key"))
            (host.home / "authorized_keys").write_bytes((home / "key.pub").read_bytes())
            _run("ip", "netns", "add", host.netns)
            stack.callback(_run, "ip", "netns", "delete", host.netns)
            # Else each IPv6 address is tentative for a second or two after every plugging in and giving back.
            dad = "/proc/sys/net/ipv6/conf/default/accept_dad"
            _run("ip", "netns", "exec", host.netns, "sh", "-c", f"[ ! -e {dad} ] || echo 0 >{dad}")
            _run(*inside, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.netns)
            _run(*inside, "link", "set", name, "master", "bridge", "up")
            _run("ip", "-n", host.netns, "address", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _run("ip", "-n", host.netns, "link", "set", device, "up")
            bed.hosts[name] = host
            stack.callback(host.kill)
            host.boot()
        yield bed
        close_masters(bed.home)


def close_masters(home: Path) -> None:
    """End the ssh connections that Ansible keeps open for a minute; they are ours, by their control sockets."""
    directory = home / "cp"
    for socket in directory.iterdir() if directory.is_dir() else []:
        subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"], capture_output=True, check=False)
