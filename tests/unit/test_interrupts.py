"""Which interrupts a network device has, on trees as hosts with such devices show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.host import host_rows, wish_of
from harness.kernel.hostfiles import HostFiles
from harness.kernel.interrupts import Interrupt, affinity, interrupts_of, send_alone, set_affinity

NET = "sys/class/net"


class Tree:
    """A tree of files and links that stands in for a host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = HostFiles(root)

    def write(self, name: str, text: str = "") -> None:
        """A file with its directories."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def link(self, name: str, target: str) -> None:
        """A relative link, as sysfs has them; both names from the root."""
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Path(*[".."] * (len(place.relative_to(self.root).parts) - 1), target))

    def nic(self, interface: str, home: str, bus: str, driver: str) -> None:
        """An interface whose device is the directory `home` below /sys/devices, on a bus, with a driver."""
        self.write(f"sys/devices/{home}/net/{interface}/mtu", "1500\n")
        self.link(f"{NET}/{interface}", f"sys/devices/{home}/net/{interface}")
        self.link(f"sys/devices/{home}/net/{interface}/device", f"sys/devices/{home}")
        self.link(f"sys/devices/{home}/driver", f"sys/bus/{bus}/drivers/{driver}")
        self.link(f"sys/devices/{home}/subsystem", f"sys/bus/{bus}")

    def msi(self, home: str, *numbers: int) -> None:
        """MSI or MSI-X interrupts of a device."""
        for number in numbers:
            self.write(f"sys/devices/{home}/msi_irqs/{number}", "msix\n")

    def interrupts(self, *lines: str) -> None:
        """/proc/interrupts of two CPUs, with lines as the kernel ends them."""
        rest = "NMI:          0          0   Non-maskable interrupts\nERR:          0\n"
        self.write("proc/interrupts", "\n".join(["            CPU0       CPU1       ", *lines, rest]))

    def of(self, interface: str) -> list[int]:
        """The numbers of an interface's interrupts."""
        return [interrupt.number for interrupt in interrupts_of(interface, self.files)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path)
    made.write("sys/devices/system/cpu/online", "0-1\n")
    return made


def test_a_pci_card_has_its_msix_interrupts(tree: Tree) -> None:
    card = "pci0000:00/0000:00:1c.0/0000:03:00.0"
    tree.nic("enp3s0", card, "pci", "mlx5_core")
    tree.msi(card, 131, 9, 130)
    # Its driver names them by the card: no name would tell.
    tree.interrupts("130:   5   0  IR-PCI-MSIX-0000:03:00.0    0-edge      mlx5_async0@pci:0000:03:00.0")
    assert tree.of("enp3s0") == [9, 130, 131]


def test_a_virtio_card_on_pci_has_those_of_the_pci_device(tree: Tree) -> None:
    home = "pci0000:00/0000:00:03.0"
    tree.nic("eth0", f"{home}/virtio2", "virtio", "virtio_net")
    tree.link(f"sys/devices/{home}/subsystem", "sys/bus/pci")
    tree.msi(home, 37, 38, 39)
    tree.interrupts(
        " 37:      0      0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config",
        " 38:      0   5369 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0",
        " 39:   3575      0 PCI-MSIX-0000:00:03.0   2-edge      virtio2-output.0",
    )
    assert tree.of("eth0") == [37, 38, 39]


def test_a_virtio_card_without_pci_has_those_that_bear_its_name(tree: Tree) -> None:
    tree.nic("eth0", "platform/LNRO0005:02/virtio2", "virtio", "virtio_net")
    tree.link("sys/devices/platform/LNRO0005:02/subsystem", "sys/bus/platform")
    tree.interrupts(
        "  5:      0    120  IO-APIC   5-edge      virtio1",
        "  6:   3575      0  IO-APIC   6-edge      virtio2",
        " 26:      0      9  IO-APIC   7-edge      virtio20",
        " 38:      0   5369  PCI-MSI    1-edge      virtio2-input.0",
        " 39:   3575      0  PCI-MSI    2-edge      virtio2-output.0",
        " 40:      0      0  PCI-MSI    3-edge      virtio20-input.0",
    )
    assert tree.of("eth0") == [6, 38, 39]
    assert send_alone({6, 38, 39, 40}, tree.files) == {39}


def test_lines_of_transmit_queues_alone_are_known_by_their_names(tree: Tree) -> None:
    """As igb, ixgbe, ena and mlx5 name them, and a card whose interface is called tx0."""
    names = ["eth0", "eth0-rx-0", "eth0-tx-0", "eth1-TxRx-0", "eth2-Tx-Rx-1", "mlx5_comp3@pci:0000:03:00.0"]
    names.append("tx0-TxRx-0")
    tree.interrupts(*(f" {30 + at}:  5  0  PCI-MSIX-0000:03:00.0  {at}-edge  {name}" for at, name in enumerate(names)))
    assert send_alone(set(range(30, 37)), tree.files) == {32}


@pytest.mark.parametrize("interface", ["eth0", "virtio2"])
def test_a_virtual_device_has_none_whatever_its_name(tree: Tree, interface: str) -> None:
    """In a namespace, eth0 may be a veth while a card of that name is in another."""
    tree.write(f"sys/devices/virtual/net/{interface}/mtu", "1500\n")
    tree.link(f"{NET}/{interface}", f"sys/devices/virtual/net/{interface}")
    tree.interrupts(f" 30:   1   1  PCI-MSI-0000:03:00.0   0-edge      {interface}-rx-0")
    assert tree.of(interface) == tree.of("eth7") == []


def test_a_card_on_a_usb_bus_does_not_have_its_controllers(tree: Tree) -> None:
    tree.nic("enx0", "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0", "usb", "r8152")
    tree.msi("pci0000:00/0000:00:14.0", 126)
    tree.interrupts("126:   0   7  IR-PCI-MSI-0000:00:14.0   0-edge      xhci_hcd")
    assert tree.of("enx0") == []


def test_a_line_that_devices_share_names_the_others(tree: Tree) -> None:
    """Legacy INTx, in the columns of x86 and of ARM."""
    tree.nic("eth1", "pci0000:00/0000:02:01.0", "pci", "e1000")
    for line in (
        " 16:      1      2   IO-APIC  16-fasteoi   ehci_hcd:usb1, eth1, i801_smbus",
        " 16:      1      2     GICv3  48 Level     ehci_hcd:usb1, eth1, i801_smbus",
    ):
        tree.interrupts(line, " 17:   0   3   IO-APIC  17-fasteoi   snd_hda_intel")
        assert interrupts_of("eth1", tree.files) == [Interrupt(16, ("ehci_hcd:usb1", "i801_smbus"))]
    (row,) = [row for row in host_rows(wish_of("latency", "1", ["eth1"]), tree.root) if row["name"] == "device_irqs"]
    assert (row["state"], row["reason"]) == (
        "not applicable",
        "eth1: shares interrupt 16 with ehci_hcd:usb1, i801_smbus, and no other device is touched",
    )


def test_names_of_other_interfaces_are_not_taken(tree: Tree) -> None:
    for number, interface in enumerate(("eth1", "eth1-2", "eth10")):
        tree.nic(interface, f"platform/f10{number}.ethernet", "platform", "mvneta")
    tree.interrupts(
        " 30:   1   0   GICv3  30 Level     eth1",
        " 31:   1   0   GICv3  31 Level     eth1-rx-0",
        " 32:   1   0   GICv3  32 Level     eth1-2-rx-0",
        " 33:   1   0   GICv3  33 Level     eth10",
        " 34:   1   0   GICv3  34 Level     eth1:mac",
    )
    assert tree.of("eth1") == [30, 31, 34]
    assert tree.of("eth1-2") == [32]


def test_a_name_that_was_cut_is_known(tree: Tree) -> None:
    tree.nic("end0", "platform/30be0000.ethernet", "platform", "fec")
    tree.interrupts(
        " 57:   1   0   GICv3 150 Level     30be0000.ethern", " 58:   1   0   GICv3 151 Level     30be0000.et"
    )
    assert tree.of("end0") == [57]


def test_affinity_is_read_and_written_as_a_list(tree: Tree) -> None:
    tree.write("proc/irq/30/smp_affinity_list", "0-3,8\n")
    assert affinity(30, tree.files) == [0, 1, 2, 3, 8]
    set_affinity(30, [0, 1, 5], tree.files)
    assert tree.files.read("/proc/irq/30/smp_affinity_list") == "0-1,5"
