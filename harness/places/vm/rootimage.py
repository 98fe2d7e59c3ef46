"""The root image: a Debian userland without a kernel, as one squashfs that is the same from build to build."""

from __future__ import annotations

import os
from pathlib import Path

from harness.places.vm import apt, programs, recipe
from harness.places.vm.home import Built
from harness.places.vm.squashfs import squash_tar

_TIMEOUT_S = 1800


def build_root(workshop: Path) -> Built:
    """Make the root image in `workshop`. Raises MissingError for a missing program, PollbenchError."""
    programs.require("mksquashfs")
    tar, image, sources = workshop / "root.tar", workshop / "root.sqfs", workshop / "sources.list"
    sources.write_text(apt.source_line(recipe.SUITE))
    env = os.environ | {"SOURCE_DATE_EPOCH": str(recipe.EPOCH)}
    inside, todo = [], ""
    if os.geteuid() == 0:
        env["TMPDIR"] = str(workshop)
        # mmdebstrap mounts /proc and /sys in the tree: in a namespace of its own those mounts end with it.
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    else:
        # Its user namespace has other users, who cannot pass through a private home directory: TMPDIR or /tmp.
        todo = "as another user than root it needs the package uidmap and user namespaces"
    argv = ["mmdebstrap", *_options(), recipe.SUITE, str(tar), str(sources)]
    output = programs.run(argv, env=env, inside=inside, todo=todo, timeout_s=_TIMEOUT_S)
    squash_tar(tar, image)
    tar.unlink()
    return Built({"sha256": image}, apt.packages_in(output))


def _options() -> list[str]:
    # The script is handed over as text: in a user namespace our directories may be closed.
    script = (recipe.DATA / "finish-root").read_text().replace("@UNUSED@", " ".join(recipe.words("unused")))
    return [
        # Without root, mmdebstrap works in a user namespace; where the host forbids those it says so.
        f"--mode={'unshare' if os.geteuid() else 'root'}",
        "--variant=essential",
        "--architectures=amd64",
        f"--include={','.join(recipe.words('packages'))}",
        # What is lost when the power fails is built again.
        "--dpkgopt=force-unsafe-io",
        # apt's own user owns its directories only where that user could reach the place we build in.
        '--aptopt=APT::Sandbox::User "root"',
        '--aptopt=Apt::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.words("leave-out")),
        f"--dpkgopt=path-include={recipe.KEEP}",
        f"--customize-hook={script}",
    ]
