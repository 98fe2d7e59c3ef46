"""Which QEMU runs the guests, and what it cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, MissingError
from harness.places.vm import emulator
from harness.places.vm.emulator import Qemu, find_emulator, same_emulator
from harness.places.vm.home import Home


def program(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version} (Debian)'\n")
    path.chmod(0o755)
    return path


def test_which_qemu_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    home, host = Home(tmp_path / "home"), program(tmp_path / emulator.PROGRAM, "9.2.1")
    assert find_emulator(home) == find_emulator(home, "host")
    assert find_emulator(home).label() == "QEMU 9.2.1 (host)"
    other = program(tmp_path / "mine", "10.1.0")
    assert find_emulator(home, str(other)).account() == {"version": "10.1.0", "origin": str(other), "sha256": ""}
    with pytest.raises(MissingError, match="use the provided QEMU: it is not built; type: `pollbench vm build`"):
        find_emulator(home, "provided")
    for wrong in ("newest", "/no/such/program"):
        with pytest.raises(InputError, match="--qemu: choose a QEMU"):
            find_emulator(home, wrong)
    program(host, "5.2.0")
    with pytest.raises(MissingError, match=r"QEMU 5.2.0 is too old; `pollbench vm build` provides a newer one"):
        find_emulator(home)
    host.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="there is no qemu-system-x86_64; `pollbench vm build` provides one"):
        find_emulator(home)


def test_a_set_is_reproduced_under_its_own_qemu_or_told_that_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    home, _ = Home(tmp_path / "home"), program(tmp_path / emulator.PROGRAM, "9.2.1")
    host = find_emulator(home, "host")
    assert same_emulator(home, host.account()) == (host, "")
    provided = Qemu((), "10.0.13", "provided", "f" * 64)
    assert same_emulator(home, provided.account()) == (
        host,
        "the set was made under QEMU 10.0.13 (provided), this runs under QEMU 9.2.1 (host): model time may differ",
    )


@pytest.mark.parametrize(
    ("cpus", "release", "accelerator", "version", "lacks"),
    [
        (2, "6.1.0-50-amd64", "tcg-virtual", (7, 2), True),
        (1, "6.1.0-50-amd64", "tcg-virtual", (7, 2), False),
        (2, "6.1.0-50-amd64", "tcg-smoke", (7, 2), False),
        (2, "6.1.0-50-amd64", "tcg-virtual", (10, 0), False),
        (2, "6.12.117+deb13-amd64", "tcg-virtual", (7, 2), False),
    ],
)
def test_a_kernel_whose_cpus_this_qemu_cannot_start_is_told(
    cpus: int, release: str, accelerator: str, version: tuple[int, int], lacks: bool
) -> None:
    qemu = Qemu((), ".".join(map(str, version)), "host")
    assert ("provides a newer one" in qemu.lacks_cpus(cpus, release, accelerator)) is lacks
