"""What labs do to a fleet: names relative to where one stands, shells that talk, hosts that refuse, two at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import load_definition
from harness.places.fleet import attempt
from harness.store import ResultSet
from tests import command
from tests.netns import sshhosts
from tests.netns.test_fleet import MADE, by_host, experiment, line_of, the_set

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())

BANNER = """\
echo 'Welcome {"facts": {"version": "9"}} to the lab'
echo '@@ 0'
echo QUJDRA==
echo 'bash: warning: setlocale: LC_ALL: cannot change locale (xx_XX.UTF-8)' >&2
trap 'echo bye; echo "@@ 9"' EXIT
"""
# As a line that loses what is long: nothing above 6,000 characters comes whole through this base64.
LOSSY = """#!/bin/sh
case "$*" in *-d*) exec /usr/bin/base64 "$@" ;; esac
/usr/bin/base64 "$@" | head -c 6000
"""


def one_setting(home: Path) -> Path:
    """A profile that touches one value which nobody here measures with."""
    settings = {setting["name"]: "leave" for setting in load_definition().settings} | {"swappiness": 61}
    (home / "one.yml").write_text(json.dumps({"settings": settings}))
    return home / "one.yml"


def test_names_are_relative_to_where_the_user_stands(tmp_path: Path) -> None:
    """Inventory, ansible.cfg and the key that it names, a host's own key, vault and its password, as in a lab's own."""
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2"]) as bed:
        lab = tmp_path / "lab"
        (lab / "keys").mkdir(parents=True)
        (lab / "group_vars").mkdir()
        shutil.copy(tmp_path / "key", lab / "keys" / "id")
        # The other host takes a key of its own, so that none can log in by that of the other.
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab / "keys" / "own"], check=True)
        shutil.copy(lab / "keys" / "own.pub", bed.hosts["dut2"].home / "authorized_keys")
        (lab / "word.txt").write_text("secret\n")
        (lab / "group_vars" / "all.yml").write_text("ansible_user: root\n")
        vault = Path(sys.executable).with_name("ansible-vault")
        words = [vault, "encrypt", "--vault-password-file", "word.txt", "group_vars/all.yml"]
        subprocess.run(words, cwd=lab, check=True, capture_output=True)
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=20"
        (lab / "fleet.ini").write_text(
            "".join(
                f"{host.name} ansible_host={host.address} pollbench_command={bed.program} "
                f"pollbench_dir={host.directory}{more}\n"
                for host, more in zip(bed.hosts.values(), ("", " ansible_ssh_private_key_file=keys/own"), strict=True)
            )
            + f"[all:vars]\nansible_ssh_common_args='{options}'\n"
        )
        (lab / "ansible.cfg").write_text("[defaults]\nprivate_key_file = keys/id\n")
        words = ["fleet", "doctor", "-i", "fleet.ini", "--json"]
        done = bed.pollbench(*words, cwd=lab, ANSIBLE_VAULT_PASSWORD_FILE="word.txt")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [row["ready"] for row in json.loads(done.stdout)] == [True, True]


def test_a_shell_that_talks_loses_no_result_and_a_lossy_line_none_for_good(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=2)
    with sshhosts.open_bed(tmp_path, ["talks", "lossy"]) as bed:
        talks, lossy = bed.hosts["talks"].home, bed.hosts["lossy"].home
        (talks / ".bashrc").write_text(BANNER)
        (lossy / "bin").mkdir()
        (lossy / "bin" / "base64").write_text(LOSSY)
        (lossy / "bin" / "base64").chmod(0o755)
        (lossy / ".bashrc").write_text(f"{BANNER}PATH={lossy}/bin:$PATH\n")
        words = ["fleet", "run", "x.yaml", "-i", str(bed.inventory())]
        done = bed.pollbench(*words)
        assert done.returncode == 1, done.stderr
        assert "2 of 2 runs" in line_of("talks", done.stderr, "done")
        reason = line_of("lossy", done.stderr)
        assert "2 of its runs could not be fetched" in reason
        assert f"kept there in {bed.hosts['lossy'].directory}" in reason
        assert "--resume" in reason
        there = {path.parent.name for path in bed.hosts["lossy"].directory.glob("*/*/results/fl/*/runs/*/run.json")}
        assert len(there) == 2
        # As it says.
        (lossy / ".bashrc").write_text(BANNER)
        again = bed.pollbench(*words, "--resume")
        assert again.returncode in MADE, again.stderr
        kept = by_host(the_set(tmp_path))
        assert {record.run_id for record in kept["lossy"]} == there
        assert len(kept["talks"]) == 2
        logs = the_set(tmp_path).path / "fleet" / "logs"
        assert "2/2" in (logs / "talks.log").read_text()


def test_each_host_says_in_one_line_why_it_cannot(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=4)
    profile = one_setting(tmp_path)
    (tmp_path / "file").write_text("")
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"format": 1, "ent')
    names = ["nopython", "nodir", "damaged", "asks", "away", "ok", "bare"]
    with sshhosts.open_bed(tmp_path, names) as bed:
        bed.hosts["asks"].kill()
        bed.hosts["asks"].users = "lab:x:12345:12345::/tmp:/bin/sh\n"
        bed.hosts["asks"].boot()
        bed.hosts["away"].kill()
        state = {name: {"measuring_host_state": str(tmp_path / name / "host.json")} for name in names}
        state["damaged"] = {"measuring_host_state": str(damaged)}
        own = {
            "nopython": {"ansible_python_interpreter": "/nonexistent/python"},
            "nodir": {"pollbench_dir": f"{tmp_path}/file/fleet"},
            "asks": {"ansible_user": "lab", "ansible_become_method": "su"},
            "bare": {
                "pollbench_command": "",
                "pollbench_python": "/nonexistent/python3",
                "pollbench_home": str(tmp_path),
            },
        }
        inventory = str(bed.inventory(**{name: state[name] | own.get(name, {}) for name in names}))
        done = bed.pollbench("fleet", "run", "x.yaml", "-i", inventory, "--prepare", str(profile))
        assert done.returncode == 1, done.stderr
        for name, reason in {
            "away": "unreachable: ssh: connect to host",
            "asks": "root is needed there: ansible_user=root, or ansible_become and the password it asks for",
            "nodir": "Not a directory; name another directory with pollbench_dir",
            "bare": "/nonexistent/python3: not found; name another with pollbench_python",
            "nopython": "there is no Python /nonexistent/python; name one: ansible_python_interpreter",
            "damaged": f"{damaged}, which keeps the values found, is damaged",
        }.items():
            lines = [line for line in done.stderr.splitlines() if line.startswith(f"{name} ") and "failed" in line]
            assert lines, (name, done.stderr)
            assert reason in lines[0], lines
        assert "unreachable" not in line_of("asks", done.stderr)
        # Who could not be prepared does not measure as it is.
        assert set(by_host(the_set(tmp_path))) == {"ok"}


def test_the_keys_of_hosts_are_checked_as_the_user_has_it(tmp_path: Path) -> None:
    with sshhosts.open_bed(tmp_path, ["dut1", "dut2"]) as bed:
        inventory, known = bed.inventory(), tmp_path / "known"
        text = inventory.read_text().replace("-o StrictHostKeyChecking=no ", "").replace("/dev/null", str(known))
        inventory.write_text(text)
        words = ["fleet", "doctor", "-i", str(inventory)]
        known.write_text(f"{bed.hosts['dut2'].address} {(tmp_path / 'key.pub').read_text()}")
        refused = bed.pollbench(*words)
        assert "Host key verification failed; accept its key first" in line_of("dut1", refused.stderr)
        assert f"its host key is not the known one ({known}:1)" in line_of("dut2", refused.stderr)
        (tmp_path / "ansible.cfg").write_text("[defaults]\nhost_key_checking = False\n")
        known.unlink()
        assert bed.pollbench(*words).returncode == 0


def forgetful(home: Path, *names: str) -> Path:
    """A dynamic inventory that has the last of these hosts, which are this machine, only when it is first listed."""
    own = f"ansible_connection=local pollbench_command={sshhosts.POLLBENCH} pollbench_dir={home}/fleet"
    variables = {name: dict(word.split("=", 1) for word in own.split()) for name in names}
    listings = [
        json.dumps({"all": {"hosts": there}, "_meta": {"hostvars": variables}}) for there in (names, names[:-1])
    ]
    program = home / "hosts.py"
    program.write_text(
        f"#!/bin/sh\nif [ -e {home}/listed ]; then echo '{listings[1]}'; exit; fi\necho '{listings[0]}'\n"
        f'[ "$1" != --list ] || touch {home}/listed\n'
    )
    program.chmod(0o755)
    return program


def test_a_play_that_comes_to_no_host_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(forgetful(tmp_path, "dut1").parent)
    done = command.call("fleet", "doctor", "-i", "./hosts.py")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Could not match" in done.stderr


def test_nobody_waits_for_a_host_that_the_inventory_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment(tmp_path, repeat=2)
    monkeypatch.setattr(attempt, "_ABSENT_S", 0.5)
    monkeypatch.chdir(forgetful(tmp_path, "dut1", "dut2").parent)
    done = command.call("fleet", "run", "x.yaml", "-i", "./hosts.py")
    assert "does the inventory still name it?" in line_of("dut2", done.stderr)
    # What it would have made the other makes, since it was missed before anything was given out.
    assert {host: len(records) for host, records in by_host(the_set(tmp_path)).items()} == {"dut1": 4}, done.stderr


@pytest.mark.slow
def test_two_who_install_and_look_at_once_do_not_collide(tmp_path: Path) -> None:
    experiment(tmp_path, repeat=2)
    with sshhosts.open_bed(tmp_path, ["dut1"]) as bed:
        inventory = bed.inventory(
            dut1={
                "pollbench_command": "",
                "pollbench_home": str(tmp_path / "installed"),
                "pollbench_python": str(sshhosts.POLLBENCH.parent / "python"),
                # What it needs would come from a package index, or a directory of wheels; here is neither.
                "pollbench_pip_args": "--no-deps --no-index --no-compile",
            }
        )
        words = ["fleet", "doctor", "x.yaml", "-i", str(inventory), "--json"]
        both = [bed.start(*words) for _ in range(2)]
        answers = [process.communicate(timeout=500) for process in both]
        rows = [json.loads(out)[0] for out, _ in answers]
        # What it needs beside itself is not there; both come as far as asking it.
        assert [row["pollbench"] for row in rows] == [rows[0]["pollbench"]] * 2, answers
        assert rows[0]["pollbench"], answers
        assert not list(bed.hosts["dut1"].directory.glob("doctor*"))
    # The package was pushed whole, and once.
    (installed,) = (tmp_path / "installed").glob("*/venv/lib/python3*/site-packages/harness")
    assert (installed / "loadgen" / "pollbench-loadgen").stat().st_mode & 0o111
    assert (installed / "playbooks" / "fleet_run.yml").is_file()


def test_two_who_measure_at_once_do_so_one_after_the_other(tmp_path: Path) -> None:
    with sshhosts.open_bed(tmp_path, ["dut1"]) as bed:
        experiment(tmp_path, repeat=40, duration="1s")
        # It is to hold the host, not its CPUs.
        slow = (tmp_path / "x.yaml").read_text().replace("kind: ping-pong", "kind: load, rate: 100")
        (tmp_path / "long.yaml").write_text(slow)
        experiment(tmp_path, repeat=2)
        words = ["fleet", "run", "-i", str(bed.inventory())]
        first = bed.start(*words, "long.yaml")
        heard_of(first, "/80 ")
        second = bed.start(*words, "x.yaml", "-o", "other")
        waited = heard_of(second, "waiting for this host")
        assert "of root@" in waited
        assert "has held it for" in waited
        first.terminate()
        _, said = first.communicate(timeout=500)
        assert first.returncode == 130, said
        _, said = second.communicate(timeout=500)
        assert second.returncode in MADE, said
        other = ResultSet.latest(tmp_path / "other", "fl")
        assert other is not None
        assert len(other.records()) == 4


def heard_of(process: subprocess.Popen[str], words: str) -> str:
    """The line of a fleet run in which these words come."""
    assert process.stderr is not None
    said = ""
    while words not in (line := process.stderr.readline()):
        assert line, said
        said += line
    return line
