"""Whether the load generator tells the truth: known stalls, delays, schedules and sizes must be found again."""

from __future__ import annotations

import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.loadgen.samples import LOST_NS, UNKNOWN_NS
from tests.fakeserver import fake_server
from tests.generator import Argument, Event, client, measure, read_samples, server
from tests.vethpair import End, missing, veth_pair

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PROTOCOLS = ("udp", "tcp")
WAITS = ("blocking", "spin", "poll", "select", "epoll")
S, MS, US = 1_000_000_000, 1_000_000, 1_000
Pair = tuple[End, End]
Records = npt.NDArray[Any]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Client's and server's namespace, joined by a link that can be busy-polled."""
    with veth_pair() as ends:
        yield ends


@pytest.fixture(scope="module")
def stamps() -> Iterator[None]:
    """Packets are stamped as they arrive, from the first one on.

    A kernel worker turns that on for the whole host, at some time after the first socket has asked: never during a
    short run whose server spins on the worker's CPU. Ours has asked before, and keeps it on.
    """
    rx_software, software, timestamping = 1 << 3, 1 << 4, 37
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        own.settimeout(10)
        own.setsockopt(socket.SOL_SOCKET, timestamping, rx_software | software)
        for _ in range(1000):
            own.sendto(b"", own.getsockname())
            if own.recvmsg(1, 256)[1]:
                break
            time.sleep(0.01)
        else:
            pytest.fail("the kernel stamps no packet in 10 s")
        yield


def run(
    pair: Pair, tmp_path: Path, options: tuple[Argument, ...], serving: tuple[Argument, ...] = (), **kind: Any
) -> tuple[Event, Event, Records]:
    """The client's result, the server's, and the records."""
    path = tmp_path / "samples"
    with server(pair[1], *serving, **kind) as (answering, port):
        with client(*pair, port, path, *options, **kind) as process:
            result = measure(process)
        return result, answering.stop(), read_samples(path)[1]


def kolmogorov_smirnov(values: Records, distribution: Records) -> float:
    """The scaled statistic: above 1.63 in one of a hundred fits. `distribution`: its function at sorted(values)."""
    n = len(values)
    steps = np.arange(n + 1) / n
    return float(np.sqrt(n) * max((steps[1:] - distribution).max(), (distribution - steps[:-1]).max()))


# Coordinated omission


def test_an_open_loop_shows_the_stalls_a_closed_loop_hides(pair: Pair, tmp_path: Path) -> None:
    """The server answers nothing for 2 ms in every 20 ms: 10 % of the time, so of the requests that do not wait.

    2 ms instead of 200 us, since a shared host's own interruptions are of that order; the least disturbed of three
    tries counts.
    """
    stall = ("--stall", f"{2 * MS}:{20 * MS}")

    def p99_ns(*options: Argument) -> float:
        tries = [run(pair, tmp_path, (*options, "--duration-ns", 400 * MS), stall, wait="spin")[2] for _ in range(3)]
        return min(float(np.percentile(records["latency_ns"], 99)) for records in tries)

    assert p99_ns("--loop", "closed") < 1 * MS
    assert p99_ns("--loop", "open", "--rate", 5000) > 1.5 * MS


def test_every_request_due_in_a_stall_of_200_us_has_it_in_its_latency(pair: Pair, tmp_path: Path) -> None:
    """200 us in every 10 ms. Judged by when the stalls were, so that no disturbance of the host can decide it.

    2 % of the open loop's requests are due in one, which its 99 % quantile shows; the closed loop sends one in each.
    """
    stall_ns, period_ns, duration_ns = 200_000, 10 * MS, 400 * MS

    def stalled(*options: Argument) -> tuple[Records, Records, Records]:
        """Of the run's latencies: all; those of requests due in a stall; what was left of the stall then."""
        result, _, records = run(
            pair,
            tmp_path,
            (*options, "--duration-ns", duration_ns),
            ("--stall", f"{stall_ns}:{period_ns}"),
            wait="spin",
        )
        phase = (result["start_ns"] + records["intended_ns"]) % period_ns
        within = phase < stall_ns
        # A request that was lost took longer than any stall.
        latency = np.where(records["latency_ns"] < 0, S, records["latency_ns"])
        return latency, latency[within], stall_ns - phase[within]

    latency, hit, left = stalled("--loop", "open", "--rate", 9973)
    assert (hit >= left).all()
    assert len(hit) / len(latency) == pytest.approx(0.02, rel=0.2)
    assert np.percentile(latency, 99) > 80_000
    latency, hit, left = stalled("--loop", "closed")
    assert (hit >= left).all()
    assert len(hit) <= duration_ns / period_ns + 1


def test_latency_counts_from_the_intended_time(pair: Pair, tmp_path: Path) -> None:
    """A client that was stopped for 50 ms sends late: its requests' latency says so, their service time does not."""
    options = ("--loop", "open", "--rate", 2000, "--duration-ns", 400 * MS)
    with (
        server(pair[1], wait="spin") as (_, port),
        client(*pair, port, tmp_path / "samples", *options, wait="spin") as process,
    ):
        process.event("ready")
        process.event("warm")
        process.say("go")
        time.sleep(0.15)
        process.process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        process.process.send_signal(signal.SIGCONT)
        process.event("done")
        process.say("finish")
        result = process.event("result")
    records = read_samples(tmp_path / "samples")[1]
    assert result["late_sends"] >= 90
    assert result["lateness_max_ns"] >= 49 * MS
    assert records["latency_ns"].max() >= 49 * MS
    late = (records["latency_ns"] - records["service_ns"]) > result["late_ns"]
    assert late.sum() == result["late_sends"]
    assert records["service_ns"][late].min() < 1 * MS


def test_an_impossible_rate_is_not_claimed(pair: Pair, tmp_path: Path) -> None:
    rate, duration_ns = 20_000_000, 50 * MS
    options = ("--loop", "open", "--rate", rate, "--duration-ns", duration_ns, "--timeout-ns", 100 * MS)
    result, _, records = run(pair, tmp_path, (*options, "--warmup-ns", 0, "--settle-ns", 0))
    assert result["offered_rps"] == rate
    assert result["missed_sends"] > 0
    assert result["missed_sends"] + result["requests"] == rate * duration_ns // S
    assert result["requests"] == len(records)
    assert result["achieved_rps"] < 0.5 * rate
    assert result["late_sends"] > 0.9 * result["requests"]
    assert result["lateness_max_ns"] >= result["lateness_p99_ns"] > result["late_ns"]


# Delays


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_injected_service_time_is_recovered(pair: Pair, tmp_path: Path, protocol: str) -> None:
    kind = {"protocol": protocol, "wait": "spin"}

    def undisturbed_ns(*serving: Argument) -> tuple[float, Event]:
        """The least disturbed of three tries, for the latencies that others on the host did not lengthen."""
        tries = [run(pair, tmp_path, ("--duration-ns", 100 * MS), serving, **kind)[1:] for _ in range(3)]
        return min(float(np.percentile(records["latency_ns"], 5)) for _, records in tries), tries[-1][0]

    without, _ = undisturbed_ns()
    with_work, served = undisturbed_ns("--service", f"fixed:{300 * US}")
    service = served["service"]
    assert service["requested_ns"] == 300 * US * served["requests"]
    assert service["check_100us_ns"] == pytest.approx(100 * US, rel=0.2)
    # The work is counted in steps of a loop, whose speed is that of the CPU at the time.
    assert with_work - without == pytest.approx(300 * US, rel=0.1)


def test_bimodal_service_times(pair: Pair, tmp_path: Path) -> None:
    serving = ("--service", f"bimodal:0:{400 * US}:0.2")
    _, served, records = run(pair, tmp_path, ("--duration-ns", 400 * MS), serving, wait="spin")
    slow = records["latency_ns"] > 300 * US
    assert 0.1 < slow.mean() < 0.3
    assert served["service"]["requested_ns"] == pytest.approx(0.2 * 400 * US * served["requests"], rel=0.2)


@pytest.mark.usefixtures("stamps")
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_phases_add_up(pair: Pair, tmp_path: Path, protocol: str, wait: str) -> None:
    serving = ("--phases", "--service", f"fixed:{100 * US}")
    kind = {"protocol": protocol, "wait": wait}
    # Of a count, not a time, in which a busy host may have one request answered, whose reply nobody tells about.
    counted = ("--phases", "--count", 300, "--timeout-ns", 15 * S)
    result, _, records = run(pair, tmp_path, counted, serving, **kind)
    names = [name for name in records.dtype.names or () if name.startswith("phase_")]
    assert result["phases_available"] == names
    assert len(names) == 8
    phases = np.stack([records[name] for name in names])
    known = (phases != UNKNOWN_NS).all(axis=0)
    # Only the last reply's own departure is told by no later reply.
    assert known[:-1].all()
    assert (phases[:, known].sum(axis=0) == records["latency_ns"][known]).all()
    # Two clocks are compared, each to some nanoseconds.
    assert (phases[:, known] > -1 * US).all()
    assert (records["phase_late"] == 0).all()
    # Whoever else wants the server's CPU makes some services longer, but none shorter.
    assert np.percentile(records["phase_service"], 5) == pytest.approx(100 * US, rel=0.15)


def test_phases_of_an_open_loop_include_the_lateness(pair: Pair, tmp_path: Path) -> None:
    options = ("--phases", "--loop", "open", "--rate", 2000)
    _, _, records = run(pair, tmp_path, options, ("--phases",), wait="epoll")
    assert (records["phase_late"] == records["latency_ns"] - records["service_ns"]).all()


# Schedules


def test_a_constant_rate_is_held(pair: Pair, tmp_path: Path) -> None:
    options = ("--loop", "open", "--rate", 3000, "--duration-ns", 1 * S)
    # Whoever takes the client's CPU as the window ends makes it miss sends; that is for another test.
    tries = (run(pair, tmp_path, options) for _ in range(5))
    result, _, records = next(found for found in tries if found[0]["missed_sends"] <= 15)
    assert result["achieved_rps"] == pytest.approx(3000, rel=0.005)
    assert records["intended_ns"][0] == 0
    assert np.abs(np.diff(records["intended_ns"]) - S / 3000).max() <= 1


def test_threads_share_one_schedule(pair: Pair, tmp_path: Path) -> None:
    """Three threads send every third request of the schedule that one would have."""
    options = ("--loop", "open", "--rate", 3000, "--threads", 3, "--connections", 3, "--count", 300)
    result, _, records = run(pair, tmp_path, options, protocol="tcp", wait="epoll")
    assert result["requests"] == 300
    assert np.abs(np.sort(records["intended_ns"]) - np.arange(300) * S / 3000).max() <= 1
    assert (records["connection"] == np.repeat(np.arange(3), 100)).all()


def test_poisson_arrivals_are_poisson(pair: Pair, tmp_path: Path) -> None:
    rate, options = 20_000, ("--loop", "open", "--arrivals", "poisson", "--duration-ns", 500 * MS)
    result, _, records = run(pair, tmp_path, (*options, "--rate", rate, "--seed", 5))
    assert result["arrivals"] == "poisson"
    gaps = np.sort(np.diff(records["intended_ns"], prepend=0))
    assert len(gaps) > 0.9 * rate / 2
    assert kolmogorov_smirnov(gaps, 1 - np.exp(-gaps * rate / S)) < 1.63
    # Independent of each other, too.
    gaps = np.diff(records["intended_ns"])
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_etc_arrivals_have_the_published_shape_and_the_asked_rate(pair: Pair, tmp_path: Path) -> None:
    rate, shape = 20_000, 0.154971
    options = ("--loop", "open", "--arrivals", "etc", "--rate", rate, "--duration-ns", 500 * MS)
    _, _, records = run(pair, tmp_path, options)
    gaps = np.sort(np.diff(records["intended_ns"], prepend=0))
    scale = S / rate * (1 - shape)
    assert kolmogorov_smirnov(gaps, 1 - (1 + shape * gaps / scale) ** (-1 / shape)) < 1.63


def test_bursts_leave_together(pair: Pair, tmp_path: Path) -> None:
    options = ("--loop", "open", "--arrivals", "burst", "--burst", 10, "--rate", 2000)
    _, _, records = run(pair, tmp_path, (*options, "--duration-ns", 200 * MS))
    times, sizes = np.unique(records["intended_ns"], return_counts=True)
    assert (sizes[:-1] == 10).all()
    assert (np.diff(times) == 5 * MS).all()


def test_in_a_burst_the_sending_of_earlier_requests_makes_none_late(pair: Pair, tmp_path: Path) -> None:
    late_ns = 20_000
    options = ("--loop", "open", "--arrivals", "burst", "--burst", 64, "--rate", 6400, "--late-ns", late_ns)
    result, _, records = run(pair, tmp_path, (*options, "--duration-ns", 200 * MS))
    assert result["lost"] == 0
    due, behind = records["intended_ns"], records["latency_ns"] - records["service_ns"]
    expected: list[int] = []
    for i, own in enumerate(behind):
        gap = own - behind[i - 1]
        follows = i > 0 and due[i] == due[i - 1]
        expected.append(expected[-1] + (gap if gap > late_ns else 0) if follows else own)
    assert result["late_sends"] == sum(ns > late_ns for ns in expected)
    assert result["lateness_max_ns"] == max(expected)
    # Counted from when it was due alone, the last of a burst would be latest.
    assert result["lateness_max_ns"] < behind.max()


def test_the_seed_decides_the_schedule(pair: Pair, tmp_path: Path) -> None:
    options = ("--loop", "open", "--arrivals", "poisson", "--rate", 5000, "--count", 200)
    schedules = [run(pair, tmp_path, (*options, "--seed", seed))[2]["intended_ns"].copy() for seed in (1, 1, 2)]
    assert (schedules[0] == schedules[1]).all()
    assert (schedules[0] != schedules[2]).any()


# Sizes


def asked_sizes(pair: Pair, tmp_path: Path, size: str, response: str) -> tuple[Records, Records]:
    """Lengths of the requests that came, and of the replies they asked for."""
    seen: list[tuple[int, int, int]] = []

    def note(data: bytes, _: int) -> list[bytes]:
        _sequence, request, wanted = struct.unpack_from("<QII", data)
        seen.append((len(data), request, wanted))
        return [data[:16] + bytes(wanted - 16)]

    with (
        fake_server(pair[1], note) as port,
        client(*pair, port, tmp_path / "samples", "--response-size", response, "--count", 3000, size=size) as process,
    ):
        result = measure(process)
    assert result["lost"] == result["malformed"] == 0
    lengths, announced, wanted = np.array(seen).T
    assert (lengths == announced).all()
    return lengths, wanted


def test_sizes_follow_their_distributions(pair: Pair, tmp_path: Path) -> None:
    requests, responses = asked_sizes(pair, tmp_path, "uniform:100-299", "exp:400:1400")
    assert (requests.min(), requests.max()) == (100, 299)
    assert kolmogorov_smirnov(np.sort(requests), (np.sort(requests) - 99.5) / 200) < 1.63
    assert responses.max() == 1400
    inner = np.sort(responses[(responses > 16) & (responses < 1400)])
    # What lies between the bounds is exponential, cut at either end.
    low, high = np.exp(-17 / 400), np.exp(-1400 / 400)
    assert kolmogorov_smirnov(inner, (low - np.exp(-(inner + 0.5) / 400)) / (low - high)) < 1.63


def test_etc_sizes_match_the_publication(pair: Pair, tmp_path: Path) -> None:
    keys, values = asked_sizes(pair, tmp_path, "etc-key", "etc-value")
    location, scale, shape = 30.7984, 8.20449, 0.078688
    median_key = location + scale * (np.log(2) ** -shape - 1) / shape
    assert np.median(keys) == pytest.approx(median_key, abs=1)
    # Small values are cut to the message's least size here; half of the others lie above the Pareto's median.
    large = values[values > 16]
    assert len(large) / len(values) == pytest.approx(0.54, abs=0.06)
    assert np.median(large) == pytest.approx(15 + 214.476 * (2**0.348238 - 1) / 0.348238, rel=0.15)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wait", WAITS)
def test_responses_have_the_size_asked_for(pair: Pair, tmp_path: Path, protocol: str, wait: str) -> None:
    sizes = ("--response-size", "uniform:16-5000")
    result, served, records = run(
        pair, tmp_path, (*sizes, "--count", 500), sizes, protocol=protocol, wait=wait, size="uniform:16-3000"
    )
    assert result["answered"] == result["requests"] == len(records) == 500
    assert result["malformed"] == served["malformed"] == 0
    assert result["bytes_sent"] / 500 == pytest.approx(1508, rel=0.15)
    assert result["bytes_received"] / 500 == pytest.approx(2508, rel=0.15)
    assert (records["latency_ns"] != LOST_NS).all()
