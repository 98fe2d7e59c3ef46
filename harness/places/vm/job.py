"""A guest's job: how it is packed on the host, and read in the guest; what else both sides know by name."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from harness import loadgen

DEFINITION = "harness/places/vm/good_host.json"
"""In the payload: how a good measuring host is set, as `pollbench host` has it. As JSON: no guest has time for YAML."""
JOB_NAME = "opt/pollbench/job"
"""What QEMU's fw_cfg calls the job of a resumed guest that has no disks."""
SECTOR = 512
"""Bytes; what goes over a disk is a multiple of it."""


def job_image(document: dict[str, Any]) -> bytes:
    """A job as the content of a disk: its length in eight bytes, then JSON; whole sectors."""
    text = json.dumps(document).encode()
    data = len(text).to_bytes(8, "little") + text
    return data + b"\0" * (-len(data) % SECTOR)


def job_reader(place: str) -> subprocess.Popen[bytes] | None:
    """In a guest that is to be saved: what hands it the job of its QEMU, as soon as it is asked; None where disks are.

    It is started before, since a guest that was resumed takes a while for that: nothing of it is translated yet.
    """
    if Path(place).is_block_device():
        return None
    reader = subprocess.Popen([loadgen.path(), "fwcfg", JOB_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout is not None
    reader.stdout.readline()
    return reader


def read_job(place: str, reader: subprocess.Popen[bytes] | None) -> bytes:
    """The JSON that job_image packed, from a disk or file, or by a job_reader."""
    if reader is not None:
        handed, _ = reader.communicate()
        return handed[8 : 8 + int.from_bytes(handed[:8], "little")]
    with open(place, "rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))
