"""Ansible action: what `pollbench fleet` does on a host through its connection, without starting Python there.

While a host measures, nothing of ours may run on it: following waits in the kernel for the next line of the run's log,
which is written between two runs.
"""

from __future__ import annotations

import base64
import ctypes
import gzip
import io
import json
import os
import secrets
import shlex
import signal
import sys
import tarfile
import time
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase

# Ansible loads a plugin by its path, and knows no way to what lies beside it.
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "plugin_utils"))
from pollbench_frame import FRAME, Damaged, keep, unframed

DOCUMENTATION = """
action: pollbench_share
short_description: Look at, start, follow, fetch, stop and clean a share of a fleet's plan on a host
description:
  - Where and what is in variables (pollbench_dir, pollbench_command, fleet_id and others), which are read here; a
    template in a task's arguments would be compiled anew for every host.
options:
  do:
    description:
      - look, start, follow, fetch, doctor, stop or clean; or several in turn, each told as a retry, in a task that is
        tried until it is over. One fork of Ansible's costs more than what is done there.
      - Without it what fleet_steps says.
    type: str
  attempt: {description: Whether only the attempt that fleet_attempt names is meant, type: bool}
  wait_s: {description: How long to wait for the next line, type: int}
"""

_PR_SET_PDEATHSIG = 1
# Runs are fetched in pieces: what one call returns is held in memory, as text.
_CHUNK_BYTES = 24 << 20
# Shorter than the longest word of a command line (128 KiB), quoting included.
_WORD_BYTES = 90_000
_TRIES = 3
_HOME = "/var/lib/pollbench"
_TURN_S, _LONGEST_TURN_S = 0.01, 0.2
_ROOT = "root is needed there: ansible_user=root, or ansible_become and what it asks for, in the inventory"


class ActionModule(ActionBase):
    """Seven small things; each is one or two shell commands on the host."""

    _requires_connection = True
    # How many lines are known, and which step is at hand; of the class, since Ansible makes a new object for every try.
    _known: ClassVar[dict[str, int]] = {}
    _step: ClassVar[int] = 0

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Do one of them; what it found is the task's result."""
        if os.environ.get("POLLBENCH_PARENT"):
            # A fork of the play, which ends with pollbench; as the play does, by the callback pollbench_tied.
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.given, self.variables = self._task.args, task_vars or {}
        # Of all sets, where none is named.
        self.directory = f"{self._own('pollbench_dir', f'{_HOME}/fleet')}/{self._own('fleet_id')}".rstrip("/")
        self.place = self.directory
        if self.given.get("attempt"):
            self.place = f"{self.directory}/{self._own('fleet_attempt')}"
        steps = str(self.given.get("do") or self._own("fleet_steps")).split()
        result |= {"step": steps[self._step], "done": True}
        try:
            result.update(getattr(self, "_" + result["step"])())
        except Damaged as error:
            result.update({"failed": True, "msg": f"what the host printed came damaged: {error}"})
        ActionModule._step += result["done"]
        result["over"] = bool(self._step == len(steps) or result.get("failed") or result.get("skipped"))
        return result

    def _own(self, name: str, default: str = "") -> str:
        """The host's variable of that name."""
        return str(self._templar.template(self.variables.get(name, default)))

    def _command(self) -> str:
        """The pollbench command there: the one that is named, or where it has been installed."""
        installed = f"{self._own('pollbench_home', _HOME)}/{self._own('pollbench_wheel_id')}/venv/bin/pollbench"
        return self._own("pollbench_command", installed)

    def _share(self) -> str:
        """The file with the host's share of the attempt; "" where it has none."""
        path = os.path.join(self._own("fleet_shares"), f"{self._own('inventory_hostname')}.json")
        return path if os.path.exists(path) else ""

    def _shell(self, text: str, tries: int = _TRIES, data: bytes | None = None) -> tuple[int, str, str]:
        """(exit code, output, errors) of a command on the host; tries: how often, if what comes is damaged on its way.

        data: what it can read, for what no command line may show. Raises Damaged.
        """
        code, out, err = self._bytes(text, tries, data)
        return code, out.decode(errors="replace"), err

    def _bytes(self, text: str, tries: int = _TRIES, data: bytes | None = None) -> tuple[int, bytes, str]:
        why = ""
        for _ in range(tries):
            mark = f"pollbench-{secrets.token_hex(8)}"
            framed = FRAME.format(mark=mark, text=text)
            done = self._low_level_execute_command(f"/bin/sh -c {shlex.quote(framed)}", sudoable=True, in_data=data)
            out, err = str(done["stdout"]).replace("\r", ""), str(done["stderr"])
            _, begun, rest = out.partition(f"{mark}<\n")
            if not begun:
                # No command of ours has run there; what was printed says why.
                return int(done["rc"]) or 127, b"", err if err.strip() else out
            try:
                return unframed(rest, mark)
            except ValueError as error:
                why = str(error)
        raise Damaged(f"{why}, {tries} times" if tries > 1 else why)

    def _look(self) -> dict[str, Any]:
        command, wanted = self._command(), self._own("fleet_version")
        parent = shlex.quote(os.path.dirname(self.directory))
        code, out, err = self._shell(
            f'{command} --version 2>&1; echo "@@ $?"; uname -r; nproc; id -u; mkdir -p {parent} && '
            f"df -Pk {parent} | tail -n 1"
        )
        said, _, rest = out.rpartition("@@ ")
        words = _last(said).split()
        if not rest.startswith("0\n") or len(words) != 2 or words[0] != "pollbench":
            why = _last(said) or rest.partition("\n")[0] or _last(err) or code
            return {"failed": True, "msg": self._no_root(str(why)) or f"{command} does not run: {why}"}
        version = words[1]
        lines = rest.split("\n")[1:]
        facts = {"version": version, "kernel": lines[0].strip(), "cpus": int(lines[1]), "root": lines[2].strip() == "0"}
        free = lines[3].split() if len(lines) > 3 else []
        if len(free) < 4 or not free[3].isdigit():
            why = _last(err).partition(": ")[2] or "df says nothing of it"
            return {"failed": True, "msg": f"{why}; name another directory with pollbench_dir", "facts": facts}
        facts["free_bytes"] = int(free[3]) * 1024
        if version != wanted:
            msg = f"pollbench {version} there, {wanted} here: install the same, or leave pollbench_command out"
            return {"failed": True, "msg": msg, "facts": facts}
        if not facts["root"]:
            return {"failed": True, "msg": _ROOT, "facts": facts}
        return {"facts": facts}

    def _start(self) -> dict[str, Any]:
        # Who makes what is known when all have been looked at; if nobody is there any more, this ends too.
        given, turn_s = os.path.join(self._own("fleet_shares"), "given"), _TURN_S
        while not os.path.exists(given):
            time.sleep(turn_s)
            # A hundred hosts wait for the last one, on the CPUs that it needs.
            turn_s = min(2 * turn_s, _LONGEST_TURN_S)
        share = self._share()
        if not share:
            return {"skipped": True}
        run = f"{self._command()} run experiment.yaml --share-file share.json -o results --wait"
        # Whoever finds the host taken is told by whom.
        run = f"POLLBENCH_FOR={shlex.quote(self._own('fleet_operator'))}; export POLLBENCH_FOR; {run}"
        if self._connection.transport == "local":
            # It outlives the play, and with that our directory for temporary files.
            own = shlex.quote(os.environ.get("POLLBENCH_TMPDIR", ""))
            run = f'TMPDIR={own}; [ -n "$TMPDIR" ] && export TMPDIR || unset TMPDIR; {run}'
        key, keep = None, ""
        if self._own("fleet_key"):
            with open(self._own("fleet_key"), "rb") as file:
                key, keep = file.read(), "(umask 077 && rm -f key && cat >key) && "
            run = f"POLLBENCH_CONTROLLER={shlex.quote(self._controller())}; export POLLBENCH_CONTROLLER; {run}"
        # The empty line at the end wakes whoever follows, and so does the lock on `pid` whoever waits for a while.
        inner = "exec 9>>pid; flock 9; echo $$ >pid; trap : TERM; "
        inner += f"{run} >out 2>log </dev/null 9>&-; echo $? >exit; echo >>log"
        place = shlex.quote(self.place)
        text = (
            f"cd {place} && rm -f pid exit && : >log && {keep}"
            f"{{ setsid sh -c {shlex.quote(inner)} {place} </dev/null >/dev/null 2>&1 & }} && "
            "n=0; while [ ! -s pid ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done; [ -s pid ]"
        )
        failure, inline = self._ship({"share.json": share, "experiment.yaml": self._own("fleet_experiment")})
        code, err = 1, failure
        if not failure:
            code, _, err = self._shell(f"{inline} {{ {text}; }}", tries=1, data=key)
        if not code:
            return {"changed": True}
        _, disk, _ = self._shell(f"df -Pk {shlex.quote(self.directory)} | tail -n 1")
        full = f"its disk is full ({self.directory})" if "No space" in err else self._full(disk)
        return {"failed": True, "msg": full or failure or f"the run does not start: {_last(err) or 'no process'}"}

    def _controller(self) -> str:
        """The address by which the host reaches this machine: the one it was reached from, if none is named."""
        named = self._own("pollbench_controller")
        if self._connection.transport == "local":
            # What the environment says of ssh there is how the user came here.
            return named or "127.0.0.1"
        mark = f"pollbench-{secrets.token_hex(8)}"
        # Asked as who logs in: sudo would have forgotten it.
        command = f"printf '%s<%s>' {mark} \"${{SSH_CONNECTION%% *}}\""
        printed = str(self._low_level_execute_command(command, sudoable=False)["stdout"])
        address = printed.partition(f"{mark}<")[2].partition(">")[0]
        return named or address or "127.0.0.1"

    def _ship(self, files: dict[str, str]) -> tuple[str, str]:
        """Put files into the attempt's directory, in words that fit a command line: (why not, or ""; what is left).

        files: by their names there, where they are here.
        What is left to do is the beginning of the command that comes next: small files need no round of their own.
        """
        place, rounds, inline = (shlex.quote(self.place), [list[str]()], f"mkdir -p {shlex.quote(self.place)} && ")
        for name, path in files.items():
            with open(path, "rb") as file:
                data = base64.b64encode(gzip.compress(file.read())).decode()
            rounds[-1].append(f": >{place}/.{name}")
            for at in range(0, len(data), _WORD_BYTES):
                piece = data[at : at + _WORD_BYTES]
                if sum(map(len, rounds[-1])) + len(piece) > _WORD_BYTES:
                    rounds.append([])
                rounds[-1].append(f"printf %s {piece} >>{place}/.{name}")
            rounds[-1].append(
                f"base64 -d <{place}/.{name} | gunzip >{place}/{name} && rm {place}/.{name} && [ -s {place}/{name} ]"
            )
        for words in rounds[:-1]:
            code, _, err = self._shell(inline + " && ".join(words))
            if code:
                return f"ship {next(iter(files))}: {' '.join(err.split())[:300] or code}", ""
        return "", inline + " && ".join(rounds[-1]) + " &&"

    def _follow(self) -> dict[str, Any]:
        """Wait, at most some seconds, for the log to grow; its new lines, and whether the run is over."""
        if not self._share():
            return {"skipped": True}
        known = self._known.get(self.place, 0)
        wait_s = int(self.given.get("wait_s", 30))
        place, first = shlex.quote(self.place), known + 1
        # Between two looks the host is left alone for a while, or until it has ended.
        interval_s = self._own("fleet_interval_s")
        pause = f"timeout {interval_s} flock -s pid true; " if known and interval_s else ""
        text = (
            f"cd {place} || exit 1; p=$(cat pid); {pause}"
            f"timeout {wait_s} tail -n +{first} -f --pid=$p log 2>/dev/null | head -n 1 >/dev/null; "
            f"if [ -s exit ]; then s=$(cat exit); "
            f"elif grep -qa -- {place} /proc/$p/cmdline 2>/dev/null; then s=running; "
            f'else sleep 0.2; s=$(cat exit 2>/dev/null); [ -n "$s" ] || s=died; fi; tail -n +{first} log; '
            'echo "@@ $s"; [ $s = running ] || df -Pk . | tail -n 1'
        )
        code, out, err = self._shell(text)
        body, mark, rest = out.rpartition("@@ ")
        lines, (state, _, disk) = body.splitlines(), rest.partition("\n")
        if not mark:
            why = f"the run cannot be followed: {_last(err) or code}"
            return {"failed": True, "msg": why}
        self._known[self.place] = known + len(lines)
        result: dict[str, Any] = {"lines": lines, "done": state != "running", "state": state}
        if result["done"]:
            result["reason"] = self._full(disk) or ("it was killed" if state == "died" else "")
        return result

    def _full(self, disk: str) -> str:
        """The reason, where df's line of the disk says that it is full; else ""."""
        words = disk.split()
        # Less than a run's smallest files: the file system is full as far as we are concerned.
        if len(words) > 3 and words[3].isdigit() and int(words[3]) < 64:
            return f"its disk is full ({self.directory})"
        return ""

    def _fetch(self) -> dict[str, Any]:
        """Bring every finished run that is not in the set here; what was begun and not finished has another name."""
        share, again = self._share() if self.given.get("attempt") else "", set[str]()
        if share:
            with open(share, "rb") as file:
                again.update(json.load(file).get("again", []))
        elif self.given.get("attempt"):
            return {"skipped": True}
        # No such directory: nothing was begun there.
        _, out, _ = self._shell(
            f"cd {shlex.quote(self.place)} 2>/dev/null && find . -path '*/runs/*/run.json' | "
            "sed 's,/run.json$,,' | tr '\\n' '\\0' | xargs -0 -r du -sk"
        )
        wanted = os.path.join(self._own("fleet_incoming"), self._own("inventory_hostname"))
        there = self._own("fleet_have")
        missing = {}
        for line in out.splitlines():
            size, _, path = line.strip().partition("\t")
            name = path.rpartition("/")[2]
            if name[:1] not in ("", ".") and (name in again or not os.path.isdir(os.path.join(there, name))):
                missing[name] = (int(size), path)
        fetched, chunk, weight = 0, list[str](), 0
        os.makedirs(wanted, exist_ok=True)
        try:
            for number, (size, path) in enumerate(missing.values(), 1):
                chunk.append(path)
                weight += size * 1024
                if weight >= _CHUNK_BYTES or number == len(missing):
                    fetched += self._unpack(chunk, wanted)
                    chunk, weight = [], 0
        except (Damaged, tarfile.TarError, OSError) as error:
            here = " here" if isinstance(error, OSError) else ""
            msg = (
                f"{len(missing) - fetched} of its runs could not be fetched{here}: {error}; "
                f"they are kept there in {self.directory}: fetch them with --resume"
            )
            return {"failed": True, "msg": msg, "fetched": fetched}
        return {"fetched": fetched, "changed": bool(fetched)}

    def _unpack(self, paths: list[str], into: str) -> int:
        listed = " ".join(shlex.quote(path) for path in paths)
        code, data, err = self._bytes(f"cd {shlex.quote(self.place)} && tar -cf - {listed}")
        if code or not data:
            raise Damaged(_last(err) or f"tar ended with {code}")
        runs: dict[str, dict[str, bytes]] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive.getmembers():
                # RUN/FILE and no more of the path: that is all a set has, and nothing can point elsewhere.
                parts = member.name.split("/")
                if member.isfile() and len(parts) > 2 and not parts[-1].startswith("."):
                    content = archive.extractfile(member)
                    runs.setdefault(parts[-2], {})[parts[-1]] = content.read() if content else b""
        for name, files in runs.items():
            keep(into, name, files)
        return len(runs)

    def _stop(self) -> dict[str, Any]:
        """End whatever of this set still runs there: it finishes its clean-up, and keeps its finished runs.

        What does not end within ten seconds is killed.
        """
        place = shlex.quote(self.directory)
        text = (
            f'cd {place} 2>/dev/null || exit 0; for f in */pid */*/pid; do [ -s "$f" ] || continue; p=$(cat "$f"); '
            f"grep -qa -- {place} /proc/$p/cmdline 2>/dev/null || continue; kill -TERM -$p; echo $p; n=0; "
            "while grep -qa -- " + place + " /proc/$p/cmdline 2>/dev/null && [ $n -lt 100 ]; "
            "do sleep 0.1; n=$((n+1)); done; [ $n -lt 100 ] || kill -KILL -$p; done"
        )
        _, out, _ = self._shell(text)
        return {"stopped": len(out.split()), "changed": bool(out.split())}

    def _doctor(self) -> dict[str, Any]:
        """What the host's own doctor says, of the experiment if there is one."""
        place, file, before = shlex.quote(self.place), "", ""
        if self._own("fleet_experiment"):
            failure, before = self._ship({"experiment.yaml": self._own("fleet_experiment")})
            if failure:
                return {"failed": True, "msg": failure}
            # Beside a file that is on hosts of this inventory, which of them it is.
            own = shlex.quote(self._own("inventory_hostname"))
            file = f"{place}/experiment.yaml --host {own}"
        code, out, err = self._shell(
            f"{before} {self._command()} doctor --json {file} 2>{place}.err; "
            f"cat {place}.err >&2; rm -rf -- {place} {place}.err"
        )
        begin = out.find("{")
        if begin < 0:
            said = _last(err) or _last(out) or f"exit code {code}"
            return {"doctor": {}, "error": said.removeprefix("pollbench: ")}
        return {"doctor": json.loads(out[begin:])}

    def _clean(self) -> dict[str, Any]:
        """Put back what a killed run left of the host, and remove the set's directory there."""
        place, home = shlex.quote(self.directory), shlex.quote(self._own("pollbench_home", _HOME))
        own = self._own("pollbench_command")
        newest = f"$(ls -t {home}/*/venv/bin/pollbench 2>/dev/null | head -n 1)"
        _, said, err = self._shell(
            f'c={shlex.quote(own)}; [ -n "$c" ] || c={newest}; [ -z "$c" ] || $c clean --json; echo "@@ $(id -u)"'
        )
        said, mark, user = said.partition("@@ ")
        if not mark or user.strip() != "0":
            return {"failed": True, "msg": self._no_root(_last(err) or _last(said)) or _ROOT}
        try:
            acts = json.loads(said[said.index("[") :])
        except ValueError:  # there is none, or another version: nothing was killed by this one
            acts = []
        # It may be a disk of its own: then it is emptied.
        _, out, err = self._shell(
            f"[ ! -d {place} ] || {{ du -sk {place} | cut -f1; find {place} -mindepth 1 -delete; "
            f"rmdir {place} 2>/dev/null; }}"
        )
        size = out.strip()
        if err.strip():
            return {"failed": True, "msg": f"remove {self.directory}: {_last(err)}", "acts": acts}
        freed = int(size) * 1024 if size.isdigit() else 0
        return {"freed_bytes": freed, "acts": acts, "changed": bool(size or acts)}

    def _no_root(self, why: str) -> str:
        """The reason in words, where it is that the host does not make us root; else ""."""
        become = getattr(self._connection, "become", None)
        return f"{_ROOT} ({why})" if become is not None and f"{become.name}:" in why else ""


def _last(text: str) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "closed." not in line]
    return lines[-1][:300] if lines else ""
