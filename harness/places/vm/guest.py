"""The agent in the guest: executes its part of a plan with the machine half, and sends every run back as it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gc
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness import loadgen
from harness.errors import UNFORESEEN, PollbenchError, unforeseen
from harness.kernel import facts, host_settings, matrix, nics, readback, standstill
from harness.kernel.machinefacts import end_programs_when_memory_is_short, machine_facts
from harness.places.carried import FILES, unpack
from harness.places.vm.job import DEFINITION, SECTOR, job_reader, read_job
from harness.places.vm.wire import Answer, pack
from harness.plan import Plan, Run
from harness.run.measure import measure
from harness.run.tracing import Tracer
from harness.signals import Stopper, stop_on_signals
from harness.spec.cells import build_models
from harness.spec.links import emulated

# The guest ends with its runs: nothing is put back. host_settings notes what it found all the same.
_STATE = "/run/pollbench-host.json"
_RANK = ("not applicable", "ok", "changed", "failed")
_EVENTS_FD = 3
_OPEN_FILES = 1 << 16
# A multiple of the tick of every kernel (1, 4 or 10 ms).
_LONGEST_PAUSE_S = 0.02


def main(job_disk: str, out_disk: str) -> None:
    """Read the job, make its runs, write each to the output disk and tell where. Raises when the disk is full.

    A job may ask for the map of what can be busy-polled instead: its cells are told one by one.
    """
    resumed, reader = standstill.asked(), None
    if resumed:
        build_models()
        readback.load_decoder()
        _warm_up()
        _keep_loaded()
        reader = job_reader(job_disk)
        tell("waits", uptime_s=facts.uptime_s())
        standstill.stop_machine()
        tell("resumed", uptime_s=facts.uptime_s())
    job = json.loads(read_job(job_disk, reader))
    if resumed:
        # What the kernel drew before, all guests of this snapshot have; the job says what this one is to have.
        standstill.draw_anew(str(job["seed"]))
    if "matrix" in job:
        # Without udev nobody but its driver makes /dev/net/tun. The guest is ours, and so are its host-wide values.
        models = [emulated(name) for name in job["matrix"]]
        pairs = {model.name: [nics.address(model.number, 0, end) for end in (0, 1)] for model in models}
        nics.load(["tun", *(model.module for model in models)], [mac for macs in pairs.values() for mac in macs])
        for cell in matrix.run(set_host=True, nics=pairs):
            tell("cell", **dataclasses.asdict(cell))
        return
    unpack(job.get("carried", {}), Path(FILES))
    if libraries := {str(path.parent) for path in Path(FILES).rglob("*.so*")}:
        os.environ["LD_LIBRARY_PATH"] = ":".join(sorted(libraries))
    plan = Plan.from_json(job["plan"], job_disk)
    # A guest runs nothing else that could need the open files.
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    end_programs_when_memory_is_short()
    models = [(emulated(name), count) for name, count in job["nics"].items()]
    ends = [(model.number, pair, end) for model, count in models for pair in range(count) for end in (0, 1)]
    pairs = nics.load([model.module for model, _ in models], [nics.address(*end) for end in ends])
    if not resumed:
        _warm_up()
        _keep_loaded()
    spec = plan.cells[0].spec
    cpus = {cpu for run in plan.runs for node in run.cell.spec.topology.nodes.values() for cpu in node.cpus or ()}
    host = set_guest(spec.machine.profile, cpus)
    machine = machine_facts(pairs) | {"host": host}
    tell("ready", environment=facts.environment(), machine=machine, uptime_s=facts.uptime_s())
    with contextlib.closing(Out(out_disk, job["output_bytes"])) as out, stop_on_signals() as stopper:
        for run in plan.runs:
            if job["accelerator"] == "tcg-virtual":
                time.sleep(pause_s(run))
            tell("begin", run_id=run.run_id)
            # A guest has no Parquet: the host makes that of the events.
            tracer = Tracer(job["polls"], encode=None) if job["traced"] else None
            out.append(run.run_id, pack(make(run, stopper, tracer)))


def set_guest(profile: str, cpus: Iterable[int]) -> list[dict[str, str]]:
    """Set this guest by a profile, "none" for as its kernel came. cpus: the application's.

    A row for each setting: {name, state, wanted, found, reason}. state is "changed", "ok", "failed" or "not
    applicable"; of several targets the worst counts.
    """
    if profile == "none":
        return []
    settings = json.loads((Path(__file__).parent / Path(DEFINITION).name).read_bytes())
    profile_values = {setting["name"]: str(setting[profile]) for setting in settings}
    rows: dict[str, dict[str, str]] = {}
    for row in host_settings.prepare(host_settings.Host("/", cpus), settings, profile_values, _STATE):
        known = rows.get(row["name"])
        if known is None or _RANK.index(row["state"]) > _RANK.index(known["state"]):
            rows[row["name"]] = {key: row[key] for key in ("name", "state", "wanted", "found", "reason")}
    return list(rows.values())


def _warm_up() -> None:
    """Have the load generator and its libraries in memory before anybody waits for it.

    A disk answers in real time: under tcg-virtual the guest's clock runs ahead meanwhile, ten seconds on a busy host.
    """
    with contextlib.suppress(PollbenchError, OSError):
        subprocess.run([loadgen.path()], capture_output=True, check=False)


def _keep_loaded() -> None:
    """Take what is loaded for good, so that the search for garbage does not go through all of it amid the runs.

    While it is loaded there is no search: the payload's `__main__` turned it off.
    """
    gc.freeze()
    gc.enable()


def pause_s(run: Run) -> float:
    """How long to wait before a run in model time: drawn anew for each repetition, the same when a plan is run again.

    In model time a ping-pong falls into a cycle that depends on where the kernel's ticks stand when it begins. That is
    chance, and it must differ from repetition to repetition.
    """
    return random.Random(f"{run.cell.spec.machine.seed}/{run.run_id}").uniform(0, _LONGEST_PAUSE_S)


def make(run: Run, stopper: Stopper, tracer: Tracer | None = None) -> Answer:
    """Measure one run, with its window traced if there is a tracer; an error becomes part of the answer."""
    begun = time.monotonic()
    answer = Answer(run.run_id, 0.0)
    try:
        answer.measured = measure(run.spec(), stopper, answer.files, tracer=tracer)
        answer.events = tracer.records if tracer is not None else None
    except (PollbenchError, OSError) as error:
        answer.error = error if isinstance(error, PollbenchError) else PollbenchError("run", got=str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, the runs that follow are made
        answer.error = PollbenchError("run", got=unforeseen(error))
        answer.files[UNFORESEEN] = traceback.format_exc().encode(errors="backslashreplace")
    answer.wall_s = round(time.monotonic() - begun, 6)
    return answer


def tell(event: str, **fields: Any) -> None:
    """Send one event to the host, as a line of JSON."""
    os.write(_EVENTS_FD, json.dumps({"ev": event, **fields}).encode() + b"\n")


class Out:
    """The raw disk, or the port, that answers are appended to; the host reads each as soon as it is told of it."""

    def __init__(self, path: str, size: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._size, self._at = size, 0

    def append(self, run_id: str, data: bytes) -> None:
        """Write one answer and tell the host. Raises PollbenchError when there is no more room."""
        padded = data + b"\0" * (-len(data) % SECTOR)
        if self._at + len(padded) > self._size:
            tell("full", run_id=run_id, needs=self._at + len(padded), has=self._size)
            raise PollbenchError("keep a run", on="the output disk", got=os.strerror(errno.ENOSPC))
        view = memoryview(padded)
        while view:
            view = view[os.write(self._fd, view) :]
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a port has nothing to sync
                raise
        tell("run", run_id=run_id, offset=self._at, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        self._at += len(padded)

    def close(self) -> None:
        """Close the descriptor of the disk or port."""
        os.close(self._fd)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
