"""Images as one file: exported to be published, and taken in elsewhere; what comes from elsewhere is not trusted."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness.errors import InputError, MissingError, PollbenchError
from harness.places.vm import programs, recipe
from harness.places.vm.build import artefacts_of
from harness.places.vm.home import Home, sha256_of

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"root|qemu|kernel [A-Za-z0-9.+_-]{1,64}")
# An image has a root and some kernels; anything much larger is not one of ours.
_MAX_BYTES, _MAX_MEMBERS, _MAX_INDEX_BYTES = 2 << 30, 100, 1 << 20
_CHUNK = 1 << 20
_NOTHING = "nothing was taken in"


def export(home: Home, target: Path) -> int:
    """The root, QEMU and every kernel set as one file, to be published; its size in bytes. Raises PollbenchError."""
    index = {key: entry for key, entry in home.index().items() if _KEY.fullmatch(key)}
    if "root" not in index:
        raise PollbenchError("export the image", got="nothing is built yet", todo="pollbench vm build")
    with home.workshop() as workshop:
        listing = workshop / "index.json"
        listing.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
        whole, packed = workshop / "image.tar", workshop / "image.tar.zst"
        with tarfile.open(whole, "w") as tar:
            tar.add(listing, "index.json", filter=_anonymous)
            names = {sha256: name for name, sha256 in artefacts_of(index).items()}
            for sha256, name in sorted(names.items()):
                tar.add(home.verified(sha256, name), f"artefacts/{sha256}", filter=_anonymous)
        # Of its parts most are compressed already.
        programs.run(["zstd", "-q", "-3", str(whole), "-o", str(packed)])
        try:
            shutil.copyfile(packed, target)
        except OSError as error:
            raise PollbenchError("export the image", str(target), error.strerror or str(error)) from None
    return target.stat().st_size


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime, member.mode = recipe.EPOCH, 0o644
    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
    return member


def import_image(home: Home, source: str, expected: str | None, tell: Callable[[str], None]) -> list[str]:
    """Take a published image in, from a file or by https; the entries it brought. Raises PollbenchError."""
    with home.workshop() as workshop:
        packed = _fetch(source, workshop, tell)
        actual = sha256_of(packed)
        if expected and actual != expected.lower():
            todo = f"fetch it again; {_NOTHING}"
            raise PollbenchError("import an image", source, f"its SHA-256 is {actual}, not {expected}", todo)
        index = _unpacked(packed, workshop)
        whole = set()
        for name, sha256 in artefacts_of(index).items():
            part = workshop / sha256
            if part.exists() and sha256_of(part) == sha256:
                whole.add(part)
            elif not home.artefact(sha256).exists():
                raise PollbenchError("import an image", name, "it is missing or damaged", _NOTHING)
        for part in whole:
            home.keep(part)
        for key, entry in index.items():
            home.record(key, entry)
    return list(index)


def _fetch(source: str, workshop: Path, tell: Callable[[str], None]) -> Path:
    if not source.startswith("https://"):
        path = Path(source)
        if not path.is_file():
            got = "there is no such file (or https:// address)"
            raise InputError("import an image", source, got, where="--from")
        return path
    tell(f"fetching {source}")
    target = workshop / "fetched"
    try:
        with urllib.request.urlopen(source, timeout=60) as answer, open(target, "wb") as file:
            while chunk := answer.read(_CHUNK):
                if file.tell() > _MAX_BYTES:
                    raise PollbenchError("import an image", source, "it is larger than any image", _NOTHING)
                file.write(chunk)
    except OSError as error:
        raise PollbenchError("fetch an image", source, str(error), _NOTHING) from None
    return target


def _unpacked(packed: Path, workshop: Path) -> dict[str, Any]:
    """The index; artefacts lie beside it. Decompressed as it is read, so that no more is written than an image has."""
    try:
        with subprocess.Popen(["zstd", "-dcq", str(packed)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as zstd:
            assert zstd.stdout is not None
            try:
                listing = _members(zstd.stdout, workshop)
                while zstd.stdout.read(_CHUNK):
                    pass
            finally:
                zstd.stdout.close()
        if zstd.returncode:
            raise ValueError("it is cut short or no zstd file")
        index = json.loads(listing)
        ours = index and all(map(_KEY.fullmatch, index))
        if not ours or not all(map(_SHA256.fullmatch, artefacts_of(index).values())):
            raise ValueError("its index is not of an image")
    except FileNotFoundError:
        raise MissingError("import an image", got="there is no program zstd", todo="tools/os-packages.sh vm") from None
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError) as error:
        torn = isinstance(error, tarfile.ReadError | EOFError)
        got = f"it is cut short, or no image ({error})" if torn else str(error)
        raise PollbenchError("import an image", str(packed), got, _NOTHING) from None
    return dict(index)


def _members(stream: IO[bytes], workshop: Path) -> bytes:
    """The tar's index. Only names that are hashes are taken, and nothing but plain files. Raises ValueError."""
    index, total = b"", 0
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for number, member in enumerate(tar):
            total += member.size
            file = tar.extractfile(member) if member.isreg() else None
            name = member.name.removeprefix("artefacts/")
            ours = member.name == "index.json" or (member.name != name and _SHA256.fullmatch(name))
            if file is None or not ours or number > _MAX_MEMBERS or total > _MAX_BYTES:
                raise ValueError(f"no image of ours holds such a thing ({member.name[:80]!r})")
            if member.name == "index.json":
                index = file.read(_MAX_INDEX_BYTES)
            else:
                with open(workshop / name, "wb") as target:
                    shutil.copyfileobj(file, target, _CHUNK)
    return index
