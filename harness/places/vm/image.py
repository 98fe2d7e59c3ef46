"""An image chosen for use: the root, one kernel set, and the payload made of this code; each verified by its hash."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import MissingError
from harness.host import load_definition
from harness.loadgen import path as loadgen_path
from harness.places.vm import cpio, programs, recipe
from harness.places.vm.home import KERNEL_PARTS, Home
from harness.places.vm.job import DEFINITION
from harness.places.vm.kernelimage import expand_kernel
from harness.places.vm.squashfs import squash, unsquash
from harness.run.capabilities import programs as programs_of
from harness.spec.cells import CellSpec
from harness.spec.links import LINK_KINDS, HostNics

_LOOP = "kernel/drivers/block/loop.ko"
_HARNESS = Path(__file__).resolve().parents[2]
# The analysis half: nothing of it runs in the guest.
HOST_ONLY = {"analysis", "cli", "importers", "playbooks", "report", "shipped", "tables"}
"""Rooms of the package that stay out of the payload."""
# Pure Python of the host's own version: Debian's pyroute2 is too old for shaped links, and Mininet is to be the same.
_BROUGHT = ("mininet", "pyroute2")
# The guest's Python and what it loads, to compile with before any guest runs.
_PYTHON = ("usr/bin/python3.13", "usr/lib/python3.13", "usr/lib/x86_64-linux-gnu")
# What data/pid1 starts: the payload's directory, so that no kernel set depends on the names of our modules. While all
# is loaded nothing becomes garbage, and searching for some takes a tenth of the time; `main` has it searched for again.
ENTRY = "import gc\nimport sys\n\ngc.disable()\nfrom harness.places.vm.guest import main\n\nmain(*sys.argv[1:])\n"


@dataclass(frozen=True)
class Image:
    """Paths of verified artefacts, and the hashes by which others can ask for the same."""

    kernel: str
    release: str
    vmlinux: Path
    initramfs: Path
    modules: Path
    root: Path
    payload: Path
    hashes: dict[str, str]


def open_image(home: Home, kernel: str) -> Image:
    """The image with this kernel ("": the default). Raises MissingError (not built), PollbenchError (damaged)."""
    index, name = home.index(), kernel or recipe.DEFAULT_KERNEL
    releases = {entry.get("release"): entry for entry in reversed(index.values())}
    kernel_set = index.get(f"kernel {name}") or releases.get(name)
    if "root" not in index or kernel_set is None:
        missing = "root image" if "root" not in index else f"kernel set named {name}"
        ours = f" --kernel {name}" if name in recipe.KERNELS else ""
        have = ", ".join(sorted(key.removeprefix("kernel ") for key in index if key.startswith("kernel ")))
        todo = f"build it: pollbench vm build{ours}" + (f"; there is {have}" if have and not ours else "")
        raise MissingError("start a guest", got=f"there is no {missing}", todo=todo)
    root = index["root"]["sha256"]
    hashes = {"root": root, "payload": payload(home, root)}
    hashes |= {part: kernel_set[part] for part in KERNEL_PARTS}
    return _image(home, name, kernel_set["release"], hashes)


def image_by_hash(home: Home, pinned: Mapping[str, str]) -> Image:
    """The very artefacts that a result set was made with; where our code is another by now, the payload differs.

    Raises MissingError when one is not here, PollbenchError when one is damaged.
    """
    hashes = {part: pinned.get(part, "") for part in ("root", *KERNEL_PARTS)}
    for part, sha256 in hashes.items():
        if not home.artefact(sha256).is_file():
            todo = "take the image in by `pollbench vm build --from FILE`, or build it from the same recipe"
            raise MissingError("find the image", part, f"there is none with SHA-256 {sha256[:16]}...", todo)
    own = pinned.get("payload", "")
    hashes["payload"] = own if home.artefact(own).is_file() else payload(home, hashes["root"])
    return _image(home, pinned["kernel"], pinned["release"], hashes)


def _image(home: Home, kernel: str, release: str, hashes: dict[str, str]) -> Image:
    paths = {part: home.verified(sha256, f"{part} of {kernel}") for part, sha256 in hashes.items() if part != "vmlinuz"}
    expanded = home.expanded(hashes["vmlinuz"], f"vmlinuz of {kernel}", expand_kernel)
    return Image(kernel=kernel, release=release, vmlinux=expanded / "vmlinux", hashes=hashes, **paths)


def libraries_of(image: Image) -> set[str]:
    """The names of the shared libraries in the guest's root. Raises MissingError, PollbenchError."""
    listing = programs.run(["unsquashfs", "-l", str(image.root), "usr/lib/x86_64-linux-gnu", "usr/lib64", "lib64"])
    return {line.rpartition("/")[2].split(" -> ")[0] for line in listing.splitlines() if ".so" in line}


def image_lacks(spec: CellSpec) -> list[str]:
    """What a cell needs that no guest of the provided image has, in words; empty when it has all."""
    there, todo = _packages(), "run the file on a host that has it: pollbench run FILE"
    missing = [(name, package) for name, package in programs_of(spec) if package and package not in there]
    lacks = [f"the guests' image has no program {Path(name).name} ({package}); {todo}" for name, package in missing]
    lent = dict.fromkeys(link.nic for link in spec.topology.links if isinstance(link.kind, HostNics))
    emulated = ", ".join(kind.name for kind in LINK_KINDS.values() if kind.needs_guest)
    return lacks + [f"links of nic: {nic}: a guest has no interface of a host; take {emulated}" for nic in lent]


@cache
def _packages() -> frozenset[str]:
    return frozenset(recipe.read_lock().root)


def glibc_of() -> int:
    """The guest's glibc, x of 2.x, as the lock pins it."""
    match = re.match(r"2\.(\d+)", recipe.read_lock().root["libc6"][0])
    return int(match[1]) if match else 0


def payload(home: Home, root_sha256: str) -> str:
    """The hash of the payload for this root image and this code; made if it is not there. Raises PollbenchError.

    The payload is the harness and what it brings along, compiled by the guest's own Python, as one squashfs.
    """
    sources, settings = dict(_sources()), definition()
    total = hashlib.sha256(root_sha256.encode() + settings)
    for name, source in sources.items():
        total.update(name.encode() + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    key = f"payload {total.hexdigest()[:24]}"
    known = home.index().get(key)
    if known is not None and home.holds(known["sha256"]):
        return str(known["sha256"])
    with home.workshop() as workshop:
        tree, image = workshop / "tree", workshop / "payload.sqfs"
        for name, source in sources.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, tree / name)
        os.chmod(tree / "harness/loadgen/pollbench-loadgen", 0o755)
        (tree / DEFINITION).write_bytes(settings)
        # By itself it loads all of pyroute2, a second of a guest's time, where a decoder or two are wanted.
        (tree / "pyroute2" / "__init__.py").write_text("")
        (tree / "__main__.py").write_text(ENTRY)
        _compile(tree, home.verified(root_sha256, "root image"), workshop)
        squash(tree, image)
        sha256 = home.keep(image)
    home.record(key, {"sha256": sha256, "root": root_sha256})
    return sha256


def definition() -> bytes:
    """The good measuring host for a guest: the one definition that the playbooks have too, without YAML.

    Raises MissingError, InputError.
    """
    return json.dumps(load_definition().settings, sort_keys=True).encode()


def _sources() -> Iterator[tuple[str, Path]]:
    """(name in the payload, file), sorted."""
    for path in sorted(_HARNESS.rglob("*")):
        name = path.relative_to(_HARNESS)
        if path.suffix == ".py" and name.parts[0] not in HOST_ONLY:
            yield f"harness/{name}", path
    yield "harness/loadgen/pollbench-loadgen", loadgen_path()
    for package in _BROUGHT:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            got = f"the Python package {package} is missing"
            raise MissingError("pack the payload", got=got, todo="install pollbench again")
        base = Path(spec.origin).parent
        for path in sorted(base.rglob("*.py")):
            yield f"{package}/{path.relative_to(base)}", path


def _compile(tree: Path, root_image: Path, workshop: Path) -> None:
    root = workshop / "python"
    unsquash(root_image, root, *_PYTHON)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    python = [str(loader), "--library-path", str(libraries), str(root / "usr/bin/python3.13")]
    env = {"PYTHONHOME": str(root / "usr"), "PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    options = ["-q", "-j1", "--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", "/run/payload"]
    # Not isolated mode: that would leave out the hash seed, by which the order in compiled sets is the same everywhere.
    programs.run([*python, "-P", "-s", "-m", "compileall", *options, str(tree)], env=env)
    shutil.rmtree(root)


def find_loop(modules: Path, into: Path) -> None:
    """What a kernel set's modules have for images that are files: see `loop_driver`. Into a new directory."""
    names = {f"*/{_LOOP}": "loop.ko", "*/modules.builtin": "builtin"}
    tree = into.with_name("unpacked")
    unsquash(modules, tree, *names)
    into.mkdir()
    for pattern, name in names.items():
        for path in tree.glob(pattern):
            shutil.copyfile(path, into / name)


def loop_driver(directory: Path) -> bytes | None:
    """The loop driver in what find_loop() made: a module, nothing (it is built in), or None where there is none."""
    if (directory / "loop.ko").exists():
        return (directory / "loop.ko").read_bytes()
    built_in = directory / "builtin"
    return b"" if built_in.exists() and _LOOP in built_in.read_text().split() else None


def write_initrd(target: Path, initramfs: Path, driver: bytes, images: Mapping[str, Path]) -> None:
    """An initramfs with these images (root, modules, payload, job) as files in it, where its `init` finds them.

    A guest in model time has no disks: all that it reads is in memory from the start. A disk answers in real time, and
    meanwhile the guest's clock runs on: no two boots would be alike. Without one, two boots of the same files go
    through the same instructions at the same times, down to the ns.
    """
    members = {"image": cpio.DIRECTORY, "modules": cpio.DIRECTORY}
    if driver:
        members["modules/99-loop.ko"] = cpio.plain(driver)
    members |= {f"image/{name}": cpio.plain(path.read_bytes()) for name, path in images.items()}
    # The scripts of this very version: an older kernel set's know of disks alone. The kernel unpacks one archive after
    # the other, and files of the second take the place of the first's.
    members |= {name: cpio.executable((recipe.DATA / name).read_bytes()) for name in ("init", "pid1")}
    target.write_bytes(initramfs.read_bytes() + cpio.pack(members))
