"""Parsers of strangers' bytes under coverage-guided fuzzing: atheris for Python's, libFuzzer for the load generator's.

`python -m tests.campaign fuzz --target yaml --minutes 10`. The inputs that reached something new are kept in
build/fuzz/TARGET, and what failed in build/fuzz/TARGET-failures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaign.jail import ROOT

BUILD = ROOT / "build" / "fuzz"
ATHERIS = ROOT / "build" / "atheris"
"""Where `make fuzz` installs it: it is nobody's dependency."""
GOLDEN = ROOT / "tests" / "golden"
NO_LEAKS = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
"""A refusal leaves what the program's end would free; tests/netns/test_loadgen_sanitized.py looks for leaks."""
_SLOW_S = 20
MOST_BYTES = 8192
"""Of an input: so that a whole run.json fits in."""
_LOADGEN = ROOT / "harness" / "loadgen"
_OWN_PARTS = ("main.c", "server.c", "events.c")
"""What the target has a main of its own for, or includes."""


def loadgen(into: Path, clang: str) -> tuple[list[str], bool]:
    """Build the load generator's target; its command, and whether it is libFuzzer's (else it makes its own inputs)."""
    guided = bool(clang) and _has_libfuzzer(clang)
    sanitizers = "fuzzer,address,undefined" if guided else "address,undefined"
    into.mkdir(parents=True, exist_ok=True)
    target = into / "loadgen_fuzz"
    sources = [str(path) for path in sorted(_LOADGEN.glob("*.c")) if path.name not in _OWN_PARTS]
    words = [clang if guided else os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g"]
    words += ["-pthread", "-Dexit=fuzz_exit", f"-I{_LOADGEN}", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all"]
    words += [] if guided else ["-DOWN_MAIN"]
    source = str(Path(__file__).with_name("loadgen_fuzz.c"))
    subprocess.run([*words, *sources, source, "-lm", "-o", str(target)], check=True)
    return [str(target)], guided


def _has_libfuzzer(clang: str) -> bool:
    """Debian has it in a package of its own (libclang-rt-VERSION-dev)."""
    text = b"#include <stddef.h>\nint LLVMFuzzerTestOneInput(const char *d, size_t n){return !d + (n > 9);}"
    words = [clang, "-fsanitize=fuzzer", "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(words, input=text, capture_output=True, check=False).returncode == 0


def _yaml() -> tuple[Callable[[bytes], None], list[bytes]]:
    from harness.errors import InputError
    from harness.plan import make_plan
    from harness.spec.load import load_experiment

    path = Path(tempfile.mkdtemp()) / "experiment.yaml"

    def try_one(data: bytes) -> None:
        if b"mininet" in data:  # a program of somebody's, in a process of its own
            return
        path.write_bytes(data)
        try:
            experiment = load_experiment(path)
            if experiment.repeat < 100:
                make_plan(experiment)
        except InputError:
            return

    shipped = sorted((ROOT / "experiments").rglob("*.yaml")) + sorted((ROOT / "topologies").glob("*.yaml"))
    return try_one, [path.read_bytes() for path in shipped]


def _csv() -> tuple[Callable[[bytes], None], list[bytes]]:
    from harness.errors import InputError
    from harness.tables.reading.table import read

    path = Path(tempfile.mkdtemp()) / "table.csv"

    def try_one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except InputError:
            return

    seeds = [text.read_bytes()[:4000] for text in sorted(GOLDEN.rglob("*.csv"))]
    return try_one, [
        *seeds,
        b"a;b;p99\n1,5;x;3\n2,5;y;4\n",
        b"case\trtt_p50_us\nbase\t1e3\nbase\t\n",
        b"run,metric,value\n1,p50,3\n",
    ]


def _hdr() -> tuple[Callable[[bytes], None], list[bytes]]:
    from harness.formats.hdrcodec import CodecError, decode
    from harness.formats.hdrhistogram import HdrHistogram
    from harness.formats.model import read_output
    from tests.unit import foreign

    program = HdrHistogram()

    def try_one(data: bytes) -> None:
        text = data.decode(errors="replace")
        try:
            read_output(program, text)
        except ValueError:
            pass
        try:
            decode(text.strip())
        except CodecError:
            pass

    line = foreign.hdr_line({5: 50, 900: 3})
    log = (foreign.HDR_HEAD + line + foreign.hdr_line({7: 70}, tag="get")).encode()
    return try_one, [log, (GOLDEN / "import" / "table.hgrm").read_bytes(), line.rpartition(",")[2].strip().encode()]


def _answers() -> tuple[Callable[[bytes], None], list[bytes]]:
    import numpy as np

    from harness.errors import MissingError, PollbenchError
    from harness.places.vm import wire
    from harness.run.counters import CounterDelta
    from harness.run.measure import Measured
    from harness.run.outcome import Outcome
    from harness.store import SAMPLE_DTYPE, KnobRow

    def try_one(data: bytes) -> None:
        for packed in (data, _packed(data)):
            try:
                wire.unpack(packed)
            except PollbenchError:
                pass

    outcome = Outcome(CounterDelta(5, {"a": {"x": 1}}, {}, {}, {}), {"answered": 1}, {}, None, 0, "udp", ())
    measured = Measured(outcome, np.zeros(3, SAMPLE_DTYPE), knobs=[KnobRow(knob="x", requested=[1, "a"])])
    whole = wire.pack(wire.Answer("abc", 1.5, measured=measured, files={"client.stdout": b"said"}))
    lacks = wire.pack(wire.Answer("abc", 1.5, error=MissingError("shape", "eth0", "no netem", "load it")))
    return try_one, [whole, lacks, *_members_of(whole), *_members_of(lacks)]


def _packed(document: bytes) -> bytes:
    """A sound archive around a result that is not, since no fuzzer finds a checksum of tar's."""
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        kind = "samples.npy" if document.startswith(b"\x93NUMPY") else "result.json"
        members = {kind: document} if kind == "result.json" else {"result.json": b"{}", kind: document}
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _members_of(archive: bytes) -> list[bytes]:
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        streams = [tar.extractfile(member) for member in tar]
        return [stream.read() for stream in streams if stream is not None]


def _set() -> tuple[Callable[[bytes], None], list[bytes]]:
    from harness.errors import PollbenchError
    from harness.store import ResultSet
    from harness.tables.source import from_set, planned_cells
    from tests.campaign.kinds import made_up_set

    path = made_up_set(Path(tempfile.mkdtemp()) / "results")
    run, *others = sorted((path / "runs").iterdir())
    for other in others:
        shutil.rmtree(other)
    documents = (path / "manifest.json", path / "plan.json", run / "run.json")
    sound = [document.read_bytes() for document in (*documents, run / "samples.parquet")]

    def try_one(data: bytes) -> None:
        (run / "samples.parquet").write_bytes(data)
        for document in documents:
            document.write_bytes(data)
        try:
            results = ResultSet.open(path)
            if results.records():
                from_set(results)  # pandas, by far the longest
            planned_cells(results.plan)
            results.sample_shape(run.name)
            results.sample_columns(run.name, ("intended_ns", "latency_ns"))
            results.sample_quantiles(run.name)
        except PollbenchError:
            pass

    return try_one, sound


TARGETS: dict[str, Callable[[], tuple[Callable[[bytes], None], list[bytes]]]] = {
    "yaml": _yaml,
    "csv": _csv,
    "hdr": _hdr,
    "answers": _answers,
    "set": _set,
}
NAMES = (*TARGETS, "loadgen")


def fuzz(arguments: argparse.Namespace) -> int:
    """Fuzz each target for so long; exit code 1 if any failed. What they do is told by the fuzzer itself."""
    failed = []
    seconds = round(60 * (arguments.minutes or 1))
    for name in arguments.target or NAMES:
        corpus, failures = BUILD / name, BUILD / f"{name}-failures"
        for directory in (corpus, failures):
            directory.mkdir(parents=True, exist_ok=True)
        words = [f"-max_total_time={seconds}", f"-timeout={_SLOW_S}", "-rss_limit_mb=3000", f"-seed={arguments.seed}"]
        words += [f"-artifact_prefix={failures}/", "-print_final_stats=1", "-close_fd_mask=1"]
        if name == "loadgen":
            command, guided = loadgen(BUILD, shutil.which("clang") or "")
            command += (
                [*words, f"-max_len={MOST_BYTES}", str(corpus)] if guided else [str(seconds), str(arguments.seed)]
            )
        else:
            command = [sys.executable, "-m", "tests.campaign.fuzz", name, *words, f"-max_len={MOST_BYTES}", str(corpus)]
        environment = NO_LEAKS | {"PYTHONPATH": f"{ROOT}:{ATHERIS}"}
        done = subprocess.run(command, cwd=failures, env=environment, check=False)
        print(f"{name}: {'failed, see ' + str(failures) if done.returncode else 'survived'}", flush=True)
        failed += [name] if done.returncode else []
    return 1 if failed else 0


def _one(name: str, words: list[str]) -> None:
    """In a process of its own: the fuzzer's loop, which ends the process."""
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["harness", "yaml"]):
        try_one, seeds = TARGETS[name]()
    corpus = Path(words[-1])
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed[:MOST_BYTES])
    fuzzer: Any = atheris
    fuzzer.Setup([sys.argv[0], *words], try_one)
    fuzzer.Fuzz()


if __name__ == "__main__":
    _one(sys.argv[1], sys.argv[2:])
