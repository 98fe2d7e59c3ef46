"""A wheel of this very pollbench, for hosts that have none: built from a checkout, or packed from what is installed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

from harness.errors import MissingError, PollbenchError
from harness.kernel.filelock import file_lock
from harness.mininet.interpreter import isolated

_NAME = "pollbench"


def version() -> str:
    """This pollbench's version."""
    return importlib.metadata.version(_NAME)


def make_wheel(directory: Path) -> Path:
    """Make the wheel in `directory`. Raises MissingError, PollbenchError."""
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[3]
    checkout = (root / "setup.py").is_file() and (root / "playbooks").is_dir()
    return _built(root, directory) if checkout else _packed(directory)


def wheel_id(wheel: Path) -> str:
    """Names the wheel by its content: other code of the same version is another installation."""
    with zipfile.ZipFile(wheel) as archive:
        members = [member for member in archive.infolist() if "dist-info" not in member.filename]
    sums = sorted(f"{member.filename} {member.CRC:08x}" for member in members)
    return f"{version()}-{hashlib.sha256(' '.join(sums).encode()).hexdigest()[:12]}"


def _built(source: Path, directory: Path) -> Path:
    options = ("-q", "--no-deps", "--no-build-isolation", "-w", str(directory))
    python = isolated("pip", "wheel", *options, str(source))
    # Builds of a checkout share a directory, in which one that was killed leaves what stops the next.
    with file_lock(source / "wheel.lock", lambda: time.sleep(0.2)):
        for left in (source / "build").glob("bdist.*"):
            shutil.rmtree(left, ignore_errors=True)
        done = subprocess.run(python.argv, env=python.environment, capture_output=True, text=True, check=False)
    made = sorted(directory.glob(f"{_NAME}-*.whl"))
    if done.returncode or not made:
        raise PollbenchError("build a wheel", str(source), done.stderr.strip()[-300:])
    return made[0]


def _packed(directory: Path) -> Path:
    """The installed files as a wheel again, with their list of hashes."""
    distribution = importlib.metadata.distribution(_NAME)
    tags = [line[5:] for line in (distribution.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: ")]
    notes = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
    inside = (file for file in distribution.files or [] if file.parts[0] not in ("..", "/"))
    files = [file for file in inside if "__pycache__" not in file.parts and file.name not in notes]
    if not files or not tags:
        raise MissingError("make a wheel", _NAME, "its list of files is not there", "install pollbench again")
    target = directory / f"{_NAME}-{version()}-{tags[0]}.whl"
    record = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            path = Path(str(file.locate()))
            data = path.read_bytes()
            info = zipfile.ZipInfo(str(file))
            info.external_attr = (os.stat(path).st_mode & 0xFFFF) << 16
            archive.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(data)}")
        info_dir = next(file.parts[0] for file in files if file.parts[0].endswith(".dist-info"))
        archive.writestr(f"{info_dir}/RECORD", "\n".join([*record, f"{info_dir}/RECORD,,", ""]))
    return target
