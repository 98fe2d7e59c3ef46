"""The parts of `pollbench vm` that need no guest: what is taken from one, its command line, the boots of a plan."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import tarfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli.progress import Progress
from harness.errors import InputError, MissingError, PollbenchError
from harness.knobs import GroupUse
from harness.places.vm import cpio, image, qemu, wire
from harness.places.vm.boots import boots_of, pairs_of
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import Image
from harness.places.vm.kernels import with_kernels
from harness.places.vm.modules import ModuleTree
from harness.places.vm.recipe import differences
from harness.places.vm.reproduction import ComparedSet, judge
from harness.places.vm.seats import Seat
from harness.plan import Plan, load_experiment, make_plan
from harness.run.measure import Measured
from harness.run.outcome import Outcome
from harness.signals import stop_on_signals
from harness.spec.machine import Machine
from harness.store import KnobRow, LinkCheck, QdiscRow, ResultSet, RunRecord
from harness.store.record import LinkPhase, QueueSeries, Verdict
from harness.store.samples import SAMPLE_DTYPE
from harness.store.trace import EVENT_DTYPE
from tests import experiment
from tests.unit.test_metrics import delta

QEMU = Qemu(("qemu-system-x86_64",), "7.2.22", "host")
IMAGE = Image("6.12", "6.12.1", Path("/a"), Path("/b"), Path("/c"), Path("/d"), Path("/e"), {})
FILES = qemu.GuestFiles(IMAGE, *(Path(f"/img/{name}") for name in "fghi"))


def promising() -> bytes:
    """An array whose head says that it has 2^40 rows."""
    out = io.BytesIO()
    head = {"descr": [("latency_ns", "<i8")], "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(out, head)
    return out.getvalue() + bytes(64)


PROMISING = promising()
# An array whose head opens more brackets than it closes.
UNCLOSED = b"\x93NUMPY\x01\x00" + (32).to_bytes(2, "little") + b"{'descr': [(" + b" " * 19 + b"\n" + bytes(64)


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/shadow" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar at all" * 100,
        tar(("../../etc/passwd", tarfile.REGTYPE, b"x")),
        tar(("said/../evil", tarfile.REGTYPE, b"x")),
        tar(("/abs", tarfile.REGTYPE, b"x")),
        tar(("result.json", tarfile.SYMTYPE, b"")),
        tar(("said/x", tarfile.LNKTYPE, b"")),
        tar(("said/x", tarfile.CHRTYPE, b"")),
        tar(("result.json", tarfile.REGTYPE, b"{}")),
        tar(("result.json", tarfile.REGTYPE, b"[" * 100_000)),
        tar(("result.json", tarfile.REGTYPE, b'{"run_id": "a", "wall_s": 1, "error": ["sys", "", "", "", ""]}')),
        tar(("result.json", tarfile.REGTYPE, b'{"run_id": "a", "wall_s": 1, "measured": {"outcome": {}}}')),
        tar(("result.json", tarfile.REGTYPE, b'{"run_id": "a", "wall_s": NaN, "error": ["failed", "", "", "", ""]}')),
        tar(("result.json", tarfile.REGTYPE, b'{"run_id": "a", "wall_s": 1' + b"0" * 400 + b', "measured": {}}')),
        tar(("result.json", tarfile.REGTYPE, b"{}"), ("samples.npy", tarfile.REGTYPE, PROMISING)),
        tar(("result.json", tarfile.REGTYPE, b"{}"), ("samples.npy", tarfile.REGTYPE, UNCLOSED)),
        tar(("result.json", tarfile.REGTYPE, b"{}"), ("samples.npy", tarfile.REGTYPE, b"\x28\xb5\x2f\xfd" * 99)),
        tar(*[(f"said/{n}", tarfile.REGTYPE, b"") for n in range(600)]),
    ],
)
def test_nothing_but_our_own_answers_is_taken_from_a_guest(data: bytes) -> None:
    with pytest.raises(PollbenchError, match="it is no result of ours"):
        wire.unpack(data)


def test_an_error_travels_whole_and_printable() -> None:
    sent = wire.Answer("abc", 1.5, error=MissingError("shape", "eth0", "no \x1b[31mnetem", "load it"))
    found = wire.unpack(wire.pack(sent))
    assert isinstance(found.error, MissingError)
    assert found.error.line() == "shape on eth0: no ?[31mnetem; load it"
    assert (found.run_id, found.wall_s) == ("abc", 1.5)


def test_events_travel_and_nothing_else_in_their_place() -> None:
    sent = wire.Answer("abc", 1.5, error=PollbenchError("run"), events=np.ones(3, EVENT_DTYPE))
    events = wire.unpack(wire.pack(sent)).events
    assert events is not None and events.dtype == EVENT_DTYPE and events["ns"].tolist() == [1, 1, 1]
    sent.events = np.ones(3, SAMPLE_DTYPE)
    with pytest.raises(PollbenchError, match="no table of whole numbers"):
        wire.unpack(wire.pack(sent))


def test_cpio_is_sorted_owned_by_root_and_without_times() -> None:
    packed = cpio.pack({"b": cpio.plain(b"data"), "a": cpio.DIRECTORY, "a/c": cpio.link("b")})
    assert packed == cpio.pack({"a/c": cpio.link("b"), "a": cpio.DIRECTORY, "b": cpio.plain(b"data")})
    heads = packed.split(b"070701")[1:]
    assert [head[104:].split(b"\0")[0] for head in heads] == [b"a", b"a/c", b"b", b"TRAILER!!!"]
    assert [int(head[8:16], 16) for head in heads[:3]] == [
        stat.S_IFDIR | 0o755,
        stat.S_IFLNK | 0o777,
        stat.S_IFREG | 0o644,
    ]
    assert {head[40:48] for head in heads} == {b"00000000"}


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("a/net-x.ko.xz: a/core.ko.xz\na/core.ko.xz: a/base.ko.xz\na/base.ko.xz:\n")
    (tmp_path / "modules.builtin").write_text("kernel/fs/squashfs.ko\n")
    chosen, absent = ModuleTree(tmp_path).chosen(["net_x", "squashfs", "virtio_blk"])
    assert chosen == ["a/base.ko.xz", "a/core.ko.xz", "a/net-x.ko.xz"]
    assert absent == ["virtio_blk"]


def test_differences_from_the_lock_are_told_in_words() -> None:
    pinned = {"a": ["1", "f" * 64], "b": ["2", "0" * 64], "c": ["3", ""]}
    found = {"a": ["1", "e" * 64], "b": ["2.1", "0" * 64], "d": ["4", ""]}
    assert differences(pinned, found) == [
        "a 1 has SHA-256 eeeeeeeeeeee..., pinned is ffffffffffff...",
        "b is 2.1, pinned is 2",
        "c 3 is missing",
        "d 4 is new",
    ]


def test_the_accelerator_decides_whose_time_it_is() -> None:
    virtual = qemu.command(QEMU, Machine(), "tcg-virtual", FILES, {})
    assert virtual[virtual.index("-icount") + 1] == "shift=0,align=off,sleep=off"
    assert "-icount" not in qemu.command(QEMU, Machine(), "tcg-smoke", FILES, {})
    assert qemu.command(QEMU, Machine(), "kvm", FILES, {})[10:14] == ["-accel", "kvm", "-cpu", "host"]
    # Memory is cleared and copied by words, not by counted bytes.
    assert qemu.command(QEMU, Machine(), "tcg-virtual", FILES, {})[12:14] == ["-cpu", "max,erms=off,fsrm=off"]


def test_a_guest_has_no_network_but_its_own_pairs() -> None:
    argv = qemu.command(QEMU, Machine(iommu="strict"), "tcg-virtual", FILES, {"e1000e": 1, "virtio-net": 1})
    networks = [argv[place + 1] for place, word in enumerate(argv) if word == "-netdev"]
    assert [network.partition(",")[0] for network in networks] == ["hubport"] * 4
    assert [network.rpartition("=")[2] for network in networks] == ["1", "1", "2", "2"]
    assert (
        "virtio-net-pci,iommu_platform=on,ioeventfd=off,tx=timer,x-txtimer=1000,bus=portn3,netdev=hubn3,mac=52:54:00:02:00:01"
        in argv
    )
    assert "intel_iommu=on iommu.strict=1" in argv[argv.index("-append") + 1]
    with pytest.raises(MissingError, match=r"QEMU 7.2.22 has no igb: it came with QEMU 8.0"):
        qemu.command(QEMU, Machine(), "tcg-virtual", FILES, {"igb": 1})


def test_numa_nodes_share_cpus_and_memory() -> None:
    machine = Machine(cpus=4, sockets=2, numa_nodes=2, numa_distance=31, memory="2GiB")
    text = " ".join(qemu.command(QEMU, machine, "kvm", FILES, {}))
    assert "-smp 4,sockets=2,cores=2,threads=1 -m 2048" in text
    assert "node,nodeid=1,cpus=2-3,memdev=mem1" in text
    assert "dist,src=0,dst=1,val=31" in text
    with pytest.raises(PollbenchError, match="3 CPUs cannot be spread over 2 sockets"):
        qemu.command(QEMU, Machine(cpus=3, sockets=2), "kvm", FILES, {})


def plan_of(tmp_path: Path, **changes: Any) -> Plan:
    return make_plan(load_experiment(experiment.write(tmp_path, **changes)))


def test_a_boot_is_a_machine_of_a_repetition(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, sweep={"vm.iommu": ["off", "strict"], "workload.size": ["64B", "128B"]}, repeat=2)
    boots = list(boots_of(list(plan.runs)))
    assert [(machine.iommu, len(runs)) for machine, runs in boots].count(("strict", 2)) == 2
    assert len(boots) == 4
    assert all(len({run.block for run in runs}) == 1 for _, runs in boots)
    assert {run.run_id for _, runs in boots for run in runs} == {run.run_id for run in plan.runs}


class Answering(Guests):
    """Guests that need no QEMU: every run of a boot is answered as soon as it is asked for."""

    made: list[tuple[str, list[str]]]

    def _make(self, task: Any, share: Any, seat: Seat) -> None:
        self.made.append((share.machine.iommu, [run.run_id for run in share.left]))
        for run in share.left:
            task.fail(run, MissingError("measure", got="no"))


def guests_for(tmp_path: Path) -> Answering:
    with stop_on_signals() as stopper:
        found = Answering(Home(tmp_path), QEMU, "tcg-virtual", stopper, jobs=1)
    found.made = []
    return found


def test_plans_share_the_boots_of_a_repetition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = {"vm.iommu": ["off", "strict"]}
    plans = [
        plan_of(tmp_path, name="a", sweep=sweep, repeat=2),
        plan_of(tmp_path, name="b", repeat=3, workload=experiment.document()["workload"] | {"size": "99B"}),
        plan_of(tmp_path, name="c", repeat=1, workload=experiment.document()["workload"] | {"size": "99B"}),
    ]
    sets = [ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {}) for plan in plans]
    guests = guests_for(tmp_path)
    guests.execute_all(list(zip(plans, sets, strict=True)), Progress())
    # Two boots for the first two repetitions, one for the third; the run that b and c have in common is made once.
    assert [(iommu, len(runs)) for iommu, runs in guests.made].count(("strict", 1)) == 2
    assert [(iommu, len(runs)) for iommu, runs in guests.made if iommu == "off"] == [
        *(("off", 2), ("off", 2), ("off", 1))
    ]
    for plan, made in zip(plans, sets, strict=True):
        assert {record.run_id: record.verdict for record in made.records()} == {
            run.run_id: "skipped" for run in plan.runs
        }
    guests.made.clear()
    guests.execute_all(list(zip(plans, sets, strict=True)), Progress())
    assert guests.made == []


def test_kernels_become_a_factor_and_the_plan_survives_json(tmp_path: Path) -> None:
    file = load_experiment(experiment.write(tmp_path))
    plan = make_plan(with_kernels(file, ["6.1", "6.12"]))
    assert [cell.factors for cell in plan.cells] == [{"vm.kernel": "6.1"}, {"vm.kernel": "6.12"}]
    assert Plan.from_json(plan.to_json()) == plan
    assert make_plan(with_kernels(file, ["6.1"])).cells[0].factors == {}
    # Two kernels of one's own are called in tables what they were called on the command line.
    labelled = make_plan(with_kernels(file, {"base": "own-1", "patch": "own-2"}))
    assert {(str(cell.factors["vm.kernel"]), cell.spec.machine.kernel) for cell in labelled.cells} == {
        ("base", "own-1"), ("patch", "own-2")
    }  # fmt: skip


def test_a_machine_that_is_the_default_changes_no_name(tmp_path: Path) -> None:
    bare = plan_of(tmp_path)
    assert plan_of(tmp_path, vm={"cpus": 2}).plan_hash == bare.plan_hash
    assert plan_of(tmp_path, vm={"cpus": 4}).plan_hash != bare.plan_hash


def test_what_is_ours_to_say_to_the_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'"panic" is set by pollbench'):
        plan_of(tmp_path, vm={"cmdline": "isolcpus=1 panic=0"})


def test_pairs_are_the_most_that_one_topology_needs(tmp_path: Path) -> None:
    nodes = {name: {"cpus": "0"} for name in ("client", "server", "third")}
    links = [{"between": ["client", "server"], "nic": "e1000e"}, {"between": ["server", "third"], "nic": "e1000e"}]
    plan = plan_of(tmp_path, topology={"nodes": nodes, "links": links})
    spec = plan.cells[0].spec
    assert pairs_of([spec.topology, spec.topology]) == {"e1000e": 2}
    assert spec.napi


def test_cpus_are_the_guest_s(tmp_path: Path) -> None:
    from harness.spec.load import check_cpus

    file = load_experiment(experiment.write(tmp_path, vm={"cpus": 1}))
    with pytest.raises(InputError, match=r"the guest \(vm.cpus\) has no CPU 1"):
        check_cpus(file, None)
    check_cpus(file, {0, 1})


def compared(*records: RunRecord) -> ComparedSet:
    """A set that kept no latencies."""
    return ComparedSet(records, lambda run_id: None)


def record(p50: float, p99: float = 100.0, verdict: Verdict = "valid", case: str = "base") -> RunRecord:
    return RunRecord("r", case, verdict, metrics={"rtt_p50_us": p50, "rtt_p99_us": p99})


@pytest.mark.parametrize(
    ("new", "good", "said"),
    [
        ([record(34.1), record(34.2)], True, "p50 34.05 -> 34.15 model us (+0.29%)"),
        ([record(34.9)], False, "p50 34.05 -> 34.9 model us (+2.50%)"),
        ([record(34.0, 120.0)], False, "p99 100 -> 120 model us (+20.00%)"),
        ([record(34.0, verdict="inert")], False, "verdicts were 2 valid, are 1 inert"),
        ([], False, "it was not run"),
    ],
)
def test_reproduced_is_a_rule(new: list[RunRecord], good: bool, said: str) -> None:
    (found,) = judge(compared(record(34.0), record(34.1)), compared(*new), real_time=False)
    assert found.reproduced is good
    assert said in found.said


def test_a_median_of_whole_ticks_may_be_another_tick() -> None:
    """Beside a hog a reply comes at a tick or at the next: the median is one of few values, and flips between them."""
    ticks = {"r": np.array([4_000_000] * 130 + [8_000_000] * 131), "far": np.array([12_000_000] * 261)}
    old, flipped = ComparedSet([record(8000.0)], ticks.get), ComparedSet([record(4000.0)], ticks.get)
    (found,) = judge(old, flipped, real_time=False)
    assert found.reproduced
    (found,) = judge(old, ComparedSet([replace(record(12000.0), run_id="far")], ticks.get), real_time=False)
    assert not found.reproduced
    assert "p50 8000 -> 1.2e+04 model us (+50.00%) !" in found.said


def test_a_cell_that_only_the_new_set_has_is_told() -> None:
    new = [record(34.0), record(34.0, case="more")]
    found = {each.label: each for each in judge(compared(record(34.0)), compared(*new), real_time=False)}
    assert found["base"].reproduced
    assert found["more"].said == "the old set has no such cell"


def test_everything_that_was_measured_travels(tmp_path: Path) -> None:
    """A field that `pack` forgets is lost on the way, and nobody would notice."""
    outcome = Outcome(
        delta=delta(),
        client={"answered": 1},
        server={},
        hog=None,
        hog_threads=0,
        protocol="udp",
        programs=(),
        groups={"server": GroupUse(5, 4, 3, 2, (1,))},
        numa={"server": [1]},
    )
    sent = Measured(
        outcome,
        np.array([(1, 2)], dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")]),
        knobs=[KnobRow(knob="x", requested=[1, "a"])],
        qdiscs=[QdiscRow("a", "eth0", {"kind": "netem"}, {"kind": "netem"})],
        features={"a": {"eth0": ["tso"]}},
        link_checks=[LinkCheck("a -> b", "loss", "1%", "1.1%", "1%", True)],
        phases=[LinkPhase("a -> b", "from 0s: down", 0.1, 0.0, 0.0, 100.0, 0, 3)],
        queues=[QueueSeries("a -> b", 0.004, [0.5, None], [1, None], [1442, None], [0, 3])],
        breaches=["a -> b: too much"],
        quiet_wait_s=0.2,
        hints=["no quiet moment"],
    )
    # A guest has all nodes of a run: hosts are told where there are two.
    apart = {"samples", "hosts"}
    assert all(getattr(sent, each.name) for each in fields(Measured) if each.name not in apart)
    found = wire.unpack(wire.pack(wire.Answer("abc", 1.5, measured=sent))).measured
    assert found is not None and found.samples is not None
    assert found.samples.tolist() == [(1, 2)]
    assert replace(found, samples=None) == replace(sent, samples=None)


def test_the_definition_of_a_good_host_is_the_playbooks_own() -> None:
    from harness.host import load_definition

    settings = json.loads(image.definition())
    assert settings == list(load_definition().settings)
    assert all({"name", "kind", "latency", "balanced"} <= set(each) for each in settings)


def test_a_setting_that_was_changed_is_told_also_where_it_made_no_difference() -> None:
    def polling(usecs: int) -> RunRecord:
        row = KnobRow("client", "busy_poll", "SO_BUSY_POLL", "socket", usecs)
        return replace(record(34.0), knobs=(row,))

    (found,) = judge(compared(polling(50)), compared(polling(5)), real_time=False)
    assert not found.reproduced
    assert found.said == "it did something else: busy_poll SO_BUSY_POLL on client was 50, is 5"
    (found,) = judge(compared(polling(50)), compared(polling(50)), real_time=False)
    assert found.reproduced


def test_the_agent_needs_only_what_the_payload_carries() -> None:
    """The guest has numpy, pydantic and YAML of Debian's, and of ours all but the rooms of the host."""
    lacking = ["pandas", "pyarrow", "rich", "ansible_runner", *(f"harness.{room}" for room in image.HOST_ONLY)]
    block = (
        "import sys\n"
        "class Lacking:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if any(name == one or name.startswith(one + '.') for one in {lacking!r}):\n"
        "            raise ImportError(f'the guest has no {name}')\n"
        "sys.meta_path.insert(0, Lacking())\n"
    )
    # What the payload starts, but for the last line, which wants a job.
    block += image.ENTRY[: image.ENTRY.index("main(*")]
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr.splitlines()[-1]
