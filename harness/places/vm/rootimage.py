"""The root image: a Debian userland without a kernel, as one squashfs that is the same from build to build."""

from __future__ import annotations

import os
from pathlib import Path

from harness.places.vm import apt, programs, recipe
from harness.places.vm.home import Built
from harness.places.vm.squashfs import squash_tar


def build_root(workshop: Path) -> Built:
    """Make the root image in `workshop`. Raises MissingError for a missing program, PollbenchError."""
    programs.require("mksquashfs")
    tar, image = workshop / "root.tar", workshop / "root.sqfs"
    env = programs.environment() | {"SOURCE_DATE_EPOCH": str(recipe.EPOCH)}
    mode, todo = "root", ""
    if os.geteuid() == 0:
        env["TMPDIR"] = str(workshop)
    else:
        # Its user namespace has other users, who cannot pass through a private home directory: TMPDIR or /tmp.
        mode, todo = "unshare", "as another user than root it needs the package uidmap and user namespaces"
    # The script is handed over as text: in a user namespace our directories may be closed.
    script = (recipe.DATA / "finish-root").read_text()
    script = script.replace("@LIST@", apt.LIST).replace("@UNUSED@", " ".join(recipe.words("unused")))
    options = [
        f"--mode={mode}",
        "--variant=essential",
        # What is lost when the power fails is built again.
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.words("leave-out")),
        f"--dpkgopt=path-include={recipe.KEEP}",
        f"--customize-hook={script}",
    ]
    packages = apt.mmdebstrap(options, recipe.words("packages"), [recipe.SUITE], tar, env, todo)
    squash_tar(tar, image)
    tar.unlink()
    return Built({"sha256": image}, packages)
