"""A host in the service of `fleet run --engine dask`: it joins the scheduler, and makes the slices that it is given."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from harness.errors import EXIT_INTERRUPTED, InputError, MissingError, PollbenchError
from harness.mininet.interpreter import isolated
from harness.places.fleet.attempt import why_ended
from harness.plan import Plan
from harness.signals import Stopper

if TYPE_CHECKING:
    from distributed import Security, Worker

TOPIC, SLOT = "pollbench", "host"
"""The topic of lines that hosts say of their runs; the resource of which a host has one, and a slice needs one."""
PACKAGE = "distributed"
JOINED = "in the service of"
"""What a host says when it has joined; playbooks/fleet_serve.yml waits for it."""
CONTROLLER = "POLLBENCH_CONTROLLER"
"""The variable that says by which address a host reaches whoever started it."""
JOIN_S = 120.0
"""How long a host tries to join."""

SETTINGS: dict[str, Any] = {
    # A host that vanishes is noticed by TCP, whose probes its kernel answers: nothing beats on a host that measures.
    "distributed.scheduler.worker-ttl": None,
    "distributed.comm.timeouts.tcp": "30s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1h",
    "distributed.admin.tick.cycle": "1h",
}


class Slice(TypedDict):
    """What a host brings of a slice. runs: by run id, the files of each by name; reason: why there are not all."""

    host: str
    runs: dict[str, dict[str, bytes]]
    reason: str


class UnmadeError(Exception):
    """A slice came to nothing; args: on which host, and why."""


@dataclass(frozen=True)
class Service:
    """What a host is told to join by. port: the scheduler's; name: the host's own; version: of dask's package.

    plan: a run of every cell, as JSON, for the host to say which of them it would skip.
    """

    port: int
    name: str
    version: str
    plan: dict[str, Any]

    @classmethod
    def read(cls, path: str) -> Service | None:
        """The service that a share file asks for; None for a share. Raises InputError when it is damaged."""
        try:
            document = json.loads(Path(path).read_bytes())
            return cls(**document["service"]) if "service" in document else None
        except (OSError, ValueError, TypeError) as error:
            raise InputError("read a share", path, str(error), "it is made by pollbench fleet run") from None


def version() -> str:
    """The version of dask's package here. Raises MissingError where it is not installed."""
    try:
        from distributed import __version__
    except ImportError:
        todo = "pip install 'pollbench[dask]' there, or leave --engine out"
        raise MissingError("use dask", got=f"the package {PACKAGE} is not installed", todo=todo) from None
    return str(__version__)


def secured(key: Path) -> Security:
    """Connections by TLS to holders of this very key alone, on either side."""
    from distributed import Security

    document = json.loads(key.read_bytes())
    secret, certificate = document["key"], document["certificate"]
    ends = {f"tls_{end}_{kind}": text for end in ("client", "scheduler", "worker")
            for kind, text in (("key", secret), ("cert", certificate))}  # fmt: skip
    return Security(require_encryption=True, tls_ca_file=certificate, **ends)


def log_to(path: Path) -> None:
    """Have dask's own log in a file, not between lines of ours."""
    import distributed  # noqa: F401  # which sets its log up

    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    for name in ("distributed", "tornado", "bokeh"):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [handler], False


def serve(service: Service, key: Path, stopper: Stopper, tell: Callable[[str], None]) -> None:
    """Join the scheduler, and make slices until it is gone, or says that there are no more, or we are to stop.

    key: a file, which is removed; tell: called with a line when it has joined.
    Raises MissingError, PollbenchError when it cannot be joined, Interrupted.
    """
    try:
        own = version()
        if own != service.version:
            todo = "install the same, or leave pollbench_command out"
            raise MissingError("use dask", got=f"{PACKAGE} {own} there, {service.version} here", todo=todo)
        security = secured(key)
    finally:
        key.unlink(missing_ok=True)
    import dask

    dask.config.set(SETTINGS)
    controller = os.environ.get(CONTROLLER, "127.0.0.1")
    address = f"tls://[{controller}]:{service.port}" if ":" in controller else f"tls://{controller}:{service.port}"
    lacks = lacking(service.plan)
    log_to(Path("dask.log"))
    asyncio.run(_serve(service.name, address, security, lacks, stopper, tell))
    stopper.check()


async def _serve(
    name: str, address: str, security: Security, lacks: dict[str, str], stopper: Stopper, tell: Callable[[str], None]
) -> None:
    from distributed import Worker, WorkerPlugin
    from distributed.comm.addressing import get_address_host
    from distributed.utils import get_ip

    class Ending(WorkerPlugin):
        def teardown(self, worker: Worker) -> None:  # noqa: ARG002  # dask's word for the argument
            _at_work.end()

    try:
        worker = await Worker(
            address,
            nthreads=1,
            name=name,
            resources={SLOT: 1},
            security=security,
            # Only where the scheduler can reach it; what dask shows of itself by HTTP stays on the host.
            host=get_ip(get_address_host(address)),
            dashboard_address="127.0.0.1:0",
            local_directory=os.getcwd(),
            memory_limit=0,
            death_timeout=JOIN_S,
            plugins=(Ending(),),
        )
    except (OSError, RuntimeError) as error:
        got = str(error.__cause__ or error) or "no answer"
        todo = "let hosts reach that port, or name pollbench_controller in the inventory"
        raise PollbenchError("join the fleet", address, got, todo) from None
    tell(f"pollbench: {JOINED} {address}")
    worker.log_event(TOPIC, {"host": name, "lacks": lacks})
    asyncio.get_running_loop().add_reader(stopper.fd, lambda: asyncio.ensure_future(_leave(worker, stopper)))
    await worker.finished()


async def _leave(worker: Worker, stopper: Stopper) -> None:
    asyncio.get_running_loop().remove_reader(stopper.fd)
    await worker.close(reason="stopped")


class _AtWork:
    """What a host has at hand. child: the slice that is being made; begun_s: when the first was begun."""

    child: subprocess.Popen[str] | None = None
    begun_s: float | None = None

    def end(self) -> None:
        """Have the slice end: it puts its run away first."""
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()


_at_work = _AtWork()


def make_slice(name: str, document: str, least_s: float) -> Slice:
    """Make the share that a document holds, on the host where dask has put this task.

    least_s: what the longest run of it takes. A budget counts from the host's first slice. Raises UnmadeError.
    """
    from distributed import get_worker

    worker = get_worker()
    share, host = json.loads(document), str(worker.name)
    _at_work.begun_s = _at_work.begun_s or time.monotonic()
    share["environment"]["host"] = host
    if share["budget_s"] is not None:
        share["budget_s"] -= time.monotonic() - _at_work.begun_s
        if share["budget_s"] < least_s:
            return {"host": host, "runs": {}, "reason": "the budget is spent"}
    place = Path("slices") / f"{name}-{time.monotonic_ns()}"
    try:
        place.mkdir(parents=True)
        (place / "share.json").write_text(json.dumps(share))
        code, lines = _run(worker, place)
        reason = "" if code == 0 else why_ended({"state": code if code >= 0 else 128 - code}, lines)
        runs = _runs_below(place / "results")
        # An exit code does not tell a run that is not valid from a disk that is full.
        if len(runs) == len(share["plan"]["runs"]) or (code == EXIT_INTERRUPTED and share["budget_s"] is not None):
            return {"host": host, "runs": runs, "reason": reason}
    except OSError as error:
        reason = str(error)
    raise UnmadeError(host, reason)


def _run(worker: Worker, place: Path) -> tuple[int, list[str]]:
    """Run the share in a directory: its exit code, and its lines, which are handed on as they come."""
    options = ("--share-file", f"{place}/share.json", "-o", f"{place}/results", "--wait")
    python = isolated("harness", "run", "experiment.yaml", *options)
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    lines = []
    with (
        _undisturbed(worker),
        subprocess.Popen(python.argv, env=python.environment, text=True, errors="replace", **given) as child,
    ):
        _at_work.child = child
        # A line comes between two runs: until then this waits in the kernel.
        for line in child.stderr or ():
            lines.append(line.rstrip("\n"))
            worker.log_event(TOPIC, {"host": str(worker.name), "lines": lines[-1:]})
    return child.returncode, lines


def lacking(document: dict[str, Any]) -> dict[str, str]:
    """Why this host would skip cells of a plan, by the cell's label."""
    from harness.run import capabilities

    plan = Plan.from_json(document, "the plan")
    lacks = {cell.label(): "; ".join(capabilities.lacks(cell.spec)) for cell in plan.cells}
    return {label: reasons for label, reasons in lacks.items() if reasons}


@contextmanager
def _undisturbed(worker: Worker) -> Iterator[None]:
    """Nothing that dask does by the clock is done in the block; what its scheduler asks for still is."""

    def switch(on: bool) -> None:
        for callback in worker.periodic_callbacks.values():
            (callback.start if on else callback.stop)()

    worker.loop.add_callback(switch, False)
    try:
        yield
    finally:
        worker.loop.add_callback(switch, True)


def _runs_below(results: Path) -> dict[str, dict[str, bytes]]:
    whole = (path.parent for path in results.glob("*/*/runs/[!.]*/run.json"))
    return {run.name: {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} for run in whole}
