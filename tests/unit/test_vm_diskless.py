"""A guest in model time: nothing in it answers in real time, and repetitions differ by what is drawn alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.kernel import standstill
from harness.places.vm import cpio, qemu
from harness.places.vm.boot import seed_of
from harness.places.vm.emulator import Qemu
from harness.places.vm.guest import pause_s
from harness.places.vm.image import Image, loop_driver, write_initrd
from harness.places.vm.job import JOB_NAME
from harness.plan import load_experiment, make_plan
from harness.spec.machine import Machine
from tests import experiment

QEMU = Qemu(("qemu-system-x86_64",), "10.0.13", "host")
IMAGE = Image("6.12", "6.12.1", Path("/k"), Path("/i"), Path("/m"), Path("/r"), Path("/p"), {})
FILES = qemu.GuestFiles(IMAGE, *(Path(f"/img/{name}") for name in ("job", "out", "con", "ev")))


def test_a_guest_without_disks_has_ports_that_are_written_at_once() -> None:
    disks = qemu.command(QEMU, Machine(), "tcg-virtual", FILES, {})
    assert disks.count("-drive") == 5
    assert "virtio-serial-pci" in disks
    none = qemu.command(QEMU, Machine(), "tcg-virtual", replace(FILES, initrd=Path("/initrd")), {})
    assert "-drive" not in none
    assert "virtio-serial-pci,ioeventfd=off" in none
    for name, path in (("events", "/img/ev"), ("out", "/img/out")):
        assert f"file,id={name},path={path}" in none
        assert f"virtserialport,chardev={name},name={name}" in none


@pytest.mark.parametrize("initrd", [Path("/initrd"), None])
def test_a_guest_to_be_saved_can_stop_itself_and_is_handed_its_job(initrd: Path | None) -> None:
    files = replace(FILES, initrd=initrd)
    booted, saved = (qemu.command(QEMU, Machine(), "tcg-virtual", files, {}, saved=saved) for saved in (False, True))
    more = [word for word in saved if word not in booted]
    cmdline = saved[saved.index("-append") + 1]
    assert cmdline == booted[booted.index("-append") + 1] + " " + standstill.ASKED
    handed = ["-fw_cfg", f"name={JOB_NAME},file=/img/job"] if initrd else []
    assert more == [cmdline, "pvpanic", "-action", "panic=pause", *handed]


@pytest.mark.parametrize(
    ("files", "driver"),
    [
        ({"loop.ko": "code", "builtin": "kernel/fs/squashfs.ko\n"}, b"code"),
        ({"builtin": "kernel/fs/squashfs.ko\nkernel/drivers/block/loop.ko\n"}, b""),
        ({"builtin": "kernel/fs/squashfs.ko\n"}, None),
        ({}, None),
    ],
)
def test_the_loop_driver_is_a_module_or_built_in_or_absent(
    tmp_path: Path, files: dict[str, str], driver: bytes | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert loop_driver(tmp_path) == driver


@pytest.mark.parametrize("driver", [b"code", b""])
def test_the_images_and_their_scripts_come_after_the_initramfs(tmp_path: Path, driver: bytes) -> None:
    initramfs, image = tmp_path / "initramfs", tmp_path / "root.sqfs"
    initramfs.write_bytes(cpio.pack({"init": cpio.executable(b"with disks")}))
    image.write_bytes(b"squashfs of the root")
    write_initrd(tmp_path / "initrd", initramfs, driver, {"root": image})
    before, after = (tmp_path / "initrd").read_bytes().split(b"with disks")
    assert before == initramfs.read_bytes().split(b"with disks")[0]
    assert b"root=/image/root modules=/image/modules" in after
    assert b"image/root\0" in after
    assert b"squashfs of the root" in after
    assert (b"modules/99-loop.ko\0" in after) is bool(driver)


def test_repetitions_have_seeds_and_pauses_of_their_own(tmp_path: Path) -> None:
    assert len({seed_of(seed, block) for seed in (1, 2) for block in (1, 2)}) == 4
    assert seed_of(1, 2) == seed_of(1, 2) < 1 << 32
    plans = [make_plan(load_experiment(experiment.write(tmp_path, repeat=50))) for _ in range(2)]
    pauses, again = ([pause_s(run) for run in plan.runs] for plan in plans)
    assert pauses == again
    assert len(set(pauses)) == 50
    assert max(pauses) <= 0.02 < 2 * max(pauses)
