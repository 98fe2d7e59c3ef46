"""An image that comes from elsewhere: what is damaged, cut short or malicious is refused; nothing is taken in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError, PollbenchError
from harness.kernel.filelock import file_lock
from harness.places.vm import exchange
from harness.places.vm.home import Home

ROOT = b"a root image" * 1000
NAME = hashlib.sha256(ROOT).hexdigest()
INDEX = {"root": {"sha256": NAME, "packages": {}}}
Member = tuple[str, bytes, bytes]


def image(*members: Member, index: Any = INDEX) -> bytes:
    out = io.BytesIO()
    listing = index if isinstance(index, bytes) else json.dumps(index).encode()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, data in (("index.json", tarfile.REGTYPE, listing), *members):
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(member, io.BytesIO(data))
    return subprocess.run(["zstd", "-cq"], input=out.getvalue(), capture_output=True, check=True).stdout


GOOD = (f"artefacts/{NAME}", tarfile.REGTYPE, ROOT)


def take_in(tmp_path: Path, data: bytes, expected: str | None = None) -> Home:
    home, file = Home(tmp_path / "vm"), tmp_path / "image.tar.zst"
    file.write_bytes(data)
    exchange.import_image(home, str(file), expected, lambda text: None)
    return home


def test_a_good_image_is_taken_in_and_given_on_unchanged(tmp_path: Path) -> None:
    home = take_in(tmp_path, image(GOOD))
    assert home.index() == INDEX
    assert home.verified(NAME, "root").read_bytes() == ROOT
    exchange.export(home, tmp_path / "again")
    other = Home(tmp_path / "other")
    exchange.import_image(other, str(tmp_path / "again"), None, lambda text: None)
    assert other.index() == home.index()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cut short"),
        (b"no zstd file", "cut short"),
        (image(GOOD)[:-20], "cut short"),
        (image(), "root: it is missing or damaged"),
        (image((f"artefacts/{NAME}", tarfile.REGTYPE, b"another")), "missing or damaged"),
        (image(("/etc/cron.d/x", tarfile.REGTYPE, b"x")), "no image of ours"),
        (image((f"artefacts/../{NAME}", tarfile.REGTYPE, b"x")), "no image of ours"),
        (image((f"artefacts/{NAME}", tarfile.SYMTYPE, b"")), "no image of ours"),
        (image((f"artefacts/{NAME}", tarfile.LNKTYPE, b"")), "no image of ours"),
        (image((f"artefacts/{NAME}", tarfile.CHRTYPE, b"")), "no image of ours"),
        (image(GOOD, index=b"{"), "import an image"),
        (image(GOOD, index=b"[" * 100_000), "import an image"),
        (image(GOOD, index=[]), "not of an image"),
        (image(GOOD, index={"root": {}}), "import an image"),
        (image(GOOD, index={"root": {"sha256": "../../x"}}), "not of an image"),
        (image(GOOD, index={"../x": {"sha256": NAME}}), "not of an image"),
        (image(GOOD, index={"kernel 6.12": {"vmlinuz": NAME}}), "import an image"),
    ],
)
def test_what_is_no_image_of_ours_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(PollbenchError, match=said) as found:
        take_in(tmp_path, data)
    assert "nothing was taken in" in str(found.value)
    home = Home(tmp_path / "vm")
    assert home.index() == {}
    assert list((home.path / "artefacts").iterdir()) == []
    assert [path.name for path in home.path.iterdir()] == ["artefacts"]


def test_a_wrong_hash_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PollbenchError, match=f"not {'0' * 64}; fetch it again; nothing was taken in"):
        take_in(tmp_path, image(GOOD), "0" * 64)
    with pytest.raises(InputError, match="--from: import an image on /no/such: there is no such file"):
        exchange.import_image(Home(tmp_path / "vm"), "/no/such", None, lambda text: None)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_MAX_BYTES", 1 << 20)
    bomb = image((f"artefacts/{NAME}", tarfile.REGTYPE, bytes(8 << 20)))
    assert len(bomb) < 10_000
    with pytest.raises(PollbenchError, match="no image of ours holds such a thing"):
        take_in(tmp_path, bomb)


def test_an_expansion_is_made_once_verified_and_mended(tmp_path: Path) -> None:
    home, made = take_in(tmp_path, image(GOOD)), []

    def expand(source: Path, into: Path) -> None:
        into.mkdir()
        (into / "file").write_bytes(source.read_bytes())
        made.append(into)

    for _ in range(2):
        assert (home.expanded(NAME, "root", expand) / "file").read_bytes() == ROOT
    assert len(made) == 1
    (home.expanded(NAME, "root", expand) / "file").write_bytes(b"damaged")
    assert (home.expanded(NAME, "root", expand) / "file").read_bytes() == ROOT
    assert len(made) == 2
    assert sorted(path.name for path in home.path.iterdir()) == ["artefacts", "expanded", "index.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="being another user needs root")
def test_the_images_of_another_user_are_used_where_they_lie() -> None:
    """What is made of them goes to the user's own store."""
    with tempfile.TemporaryDirectory(prefix="pollbench-test-") as scratch:
        top = Path(scratch)
        os.chmod(top, 0o755)
        theirs = Home(top / "theirs")
        sha256 = theirs.keep(written(top / "fresh", b"image"))
        theirs.record("root", {"sha256": sha256})
        mine = top / "mine"
        mine.mkdir()
        os.chown(mine, 65534, 65534)
        code = f"""
import pathlib
from harness.places.vm.home import Home
home = Home()
assert home.index()["root"]["sha256"] == {sha256!r} and home.holds({sha256!r})
assert home.verified({sha256!r}, "root").is_relative_to({str(theirs.path)!r})
made = home.expanded({sha256!r}, "root", lambda source, into: (into.mkdir(), (into / "x").write_bytes(b"x")))
assert made.is_relative_to({str(mine)!r})
with home.workshop() as workshop:
    (workshop / "payload").write_bytes(b"payload")
    own = home.keep(workshop / "payload")
home.record("payload 1", {{"sha256": own}})
assert home.holds(own) and set(home.index()) == {{"root", "payload 1"}}
home.clean()
print("ok")
"""
        environment = {"XDG_CACHE_HOME": str(mine), "POLLBENCH_VM_HOME": str(theirs.path), "PATH": os.environ["PATH"]}
        before = sorted(path.name for path in theirs.path.rglob("*"))
        # As root it imports, as the other it acts.
        checkout = str(Path(__file__).parents[2])
        lead = f"import os, sys; sys.path.insert(0, {checkout!r}); import harness.places.vm.home; os.setuid(65534)\n"
        words = [sys.executable, "-c", lead + code]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout == "ok\n", done.stderr
        assert sorted(path.name for path in theirs.path.rglob("*")) == before
        assert theirs.index() == {"root": {"sha256": sha256}}


def test_a_scratch_directory_is_held_though_its_lock_is_looked_at_as_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "1")
    lock = tmp_path / ".tmp-1.lock"
    with ExitStack() as looks, ExitStack() as works:
        looks.enter_context(file_lock(lock))
        monkeypatch.setattr(time, "sleep", lambda _: looks.close())
        works.enter_context(Home(tmp_path).workshop())
        looks.close()
        with file_lock(lock) as free:
            assert not free


SHARES = """
import sys
from pathlib import Path
from harness.places.vm.home import Home
with Home(Path(sys.argv[1])).workshop() as mine:
    print(sorted(path.name for path in mine.parent.glob("tmp-*") if path != mine))
"""


def test_a_container_that_shares_the_cache_leaves_the_scratch_of_the_living(tmp_path: Path) -> None:
    """In a namespace of processes of its own nobody outside has a number; what nobody holds is removed there too."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this host lets nobody make namespaces of processes")
    (tmp_path / "tmp-left").mkdir()
    (tmp_path / ".tmp-killed.lock").touch()
    checkout = str(Path(__file__).parents[2])
    with Home(tmp_path).workshop() as living:
        (tmp_path / "tmp-late").mkdir()
        words = [*inside, sys.executable, "-c", SHARES, str(tmp_path)]
        done = subprocess.run(words, env={"PYTHONPATH": checkout}, capture_output=True, text=True, check=False)
        assert done.stdout == f"['{living.name}']\n", done.stderr
        assert living.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["artefacts"]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
