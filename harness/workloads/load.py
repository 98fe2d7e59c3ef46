"""load: our own generator, open loop at an offered rate or closed loop of any depth, on one or many connections."""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.units import Count, CpuOrder, DurationNs, OnOff, Share
from harness.workloads.base import HOUR_NS, TIMED_MIN_BYTES, Fact, Scene, Wait, Workload
from harness.workloads.own_sockets import FRAME_MAX_BYTES, OwnSockets
from harness.workloads.sizes import Sizes, check_within, fixed_bytes

# What the load generator takes; tests/unit/test_bounds.py compares with its own.
MESSAGE_MIN_BYTES, PHASES_MIN_BYTES = 16, 64
UDP_MAX_BYTES, TCP_MAX_BYTES = 65507, 1 << 20
SERVICE_MAX_NS, TXTIME_MAX_NS = 10 * 10**9, 10**9
SELECT_MOST = 1000
_ONLY_OPEN = ("arrivals", "burst", "late_ns")


class Service(BaseModel):
    """What the server does for each request: a counted loop, or with `clock` a spin of an exact time.

    The loop is calibrated at the start, when the other CPUs may be idle, and time off the CPU does not count as work:
    what it takes on the clock varies with the CPU's speed, by some percent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    distribution: Literal["fixed", "exponential", "bimodal", "clock"] = Field(
        "fixed",
        description="fixed: always `time` of work; exponential: of mean `time`; bimodal: `time`, or `long`; "
        "clock: a spin that ends `time` later by the clock",
    )
    time_ns: DurationNs = Field(le=SERVICE_MAX_NS, alias="time", description="work of a request")
    long_ns: DurationNs | None = Field(
        None, gt=0, le=SERVICE_MAX_NS, alias="long", description="work of a long request"
    )
    long_share: Share | None = Field(None, description="share of the requests that are long")

    @model_validator(mode="after")
    def _bimodal_is_complete(self) -> Service:
        given = (self.long_ns is not None, self.long_share is not None)
        if given != (self.distribution == "bimodal",) * 2:
            raise ValueError("long and long_share go with distribution bimodal, and it with them")
        return self

    def option(self) -> str:
        """The distribution as the generator's options take it: "fixed:1000", times in ns."""
        if self.distribution == "bimodal":
            return f"bimodal:{self.time_ns}:{self.long_ns}:{self.long_share:g}"
        kind = "exp" if self.distribution == "exponential" else self.distribution
        return f"{kind}:{self.time_ns}"


class Generated(Workload):
    """What every workload of our own client has in common: the loop, the rate, connections and threads."""

    loop_kind: Literal["open", "closed"] | None = Field(
        None, alias="loop", description="open where a rate is given, else closed"
    )
    rate_rps: Count | None = Field(
        None, ge=1, le=100_000_000, alias="rate", description="open loop: offered requests per second, in all"
    )
    arrivals: Literal["constant", "poisson", "burst", "etc"] = Field(
        "constant", description="open loop: when requests are due; etc: gaps of the Facebook ETC workload"
    )
    burst: Count = Field(1, ge=1, le=1_000_000, description="requests per burst, with arrivals: burst")
    late_ns: DurationNs = Field(
        50_000,
        gt=0,
        le=HOUR_NS,
        alias="late",
        description="open loop: a send is late when it begins this much after its time (in a burst: and the "
        "sending of the earlier ones)",
    )
    depth: Count = Field(1, ge=1, le=65536, description="closed loop: requests outstanding per thread")
    connections: Count = Field(1, ge=1, le=10_000, description="sockets of the client, spread over its threads")
    threads: Count = Field(1, ge=1, le=256, description="threads of the client")
    thread_cpus: CpuOrder | None = Field(
        None, description="CPUs of the client's threads, one each, in this order and round again"
    )
    count: Count | None = Field(
        None, ge=1, le=1 << 40, description="stop after so many requests, if the duration has not ended before"
    )
    cooldown_ns: DurationNs = Field(0, le=HOUR_NS, alias="cooldown", description="traffic after measuring, discarded")
    timeout_ns: DurationNs = Field(
        1_000_000_000,
        ge=1000,
        le=HOUR_NS,
        alias="timeout",
        description="a UDP request is lost after this; over TCP the run fails",
    )
    seed: Count = Field(
        1, ge=0, le=2**63 - 1, description="seed of arrivals, sizes and service times, made another for each repetition"
    )
    client_wait: Wait | None = Field(None, description="the client's way to wait, if not `wait`")

    @model_validator(mode="after")
    def _fields_fit_the_loop(self) -> Generated:
        is_open = self.loop() == "open"
        if is_open != (self.rate_rps is not None):
            closed = "rate means nothing in a closed loop; loop: open"
            raise ValueError("an open loop needs a rate; add rate: N" if is_open else closed)
        for name in () if is_open else _ONLY_OPEN:
            if name in self.model_fields_set:
                raise ValueError(f"{name.removesuffix('_ns')} means nothing in a closed loop; give a rate")
        if is_open and "depth" in self.model_fields_set:
            raise ValueError("depth means nothing in an open loop; leave out depth, or rate")
        if "burst" in self.model_fields_set and self.arrivals != "burst":
            raise ValueError("burst means nothing with other arrivals; add arrivals: burst")
        if self.connections < self.threads:
            raise ValueError(f"{self.threads} threads have only {self.connections} connections; at least one each")
        if not is_open and self.wait_of("client") == "blocking" and self.connections != self.threads:
            raise ValueError("a blocking client has one connection per thread; choose client_wait: epoll, poll or spin")
        return self

    def loop(self) -> str:
        """The declared loop; without one it is open where a rate is given."""
        return self.loop_kind or ("closed" if self.rate_rps is None else "open")

    def of_block(self, block: int, place: int = 0) -> Self:
        """The workload with a seed of its own for this repetition, made from the file's seed."""
        made = hashlib.sha256(f"{self.seed}/{block}/{place}".encode()).digest()
        return self.model_copy(update={"seed": int.from_bytes(made[:8]) >> 1})

    def cpus(self) -> tuple[int, ...]:
        """The CPUs that the file pins threads of client and server to."""
        return (*(self.thread_cpus or ()), *(getattr(self, "server_thread_cpus", None) or ()))

    def allowance_ns(self) -> int:
        """Connecting thousands of sockets takes its time, and so does waiting for the last replies."""
        return super().allowance_ns() + 2 * self.timeout_ns + self.cooldown_ns + self.connections * 2_000_000

    def generator_options(self, scene: Scene) -> list[str]:
        """The client's options but for its sizes and its application."""
        argv = ["client", "--protocol", self.transport(), "--wait", self.wait_of("client")]
        argv += ["--connect", scene.address, "--port", str(scene.port), "--loop", self.loop()]
        if self.loop() == "open":
            argv += ["--rate", str(self.rate_rps), "--arrivals", self.arrivals, "--late-ns", str(self.late_ns)]
            argv += ["--burst", str(self.burst)] if self.arrivals == "burst" else []
        else:
            argv += ["--depth", str(self.depth)]
        argv += ["--connections", str(self.connections), "--threads", str(self.threads)]
        argv += ["--thread-cpus", _in_order(self.thread_cpus)] if self.thread_cpus else []
        argv += ["--seed", str(self.seed), "--warmup-ns", str(self.warmup_ns)]
        argv += ["--duration-ns", str(scene.lasting_ns or self.duration_ns)]
        argv += ["--count", str(self.count)] if self.count and not scene.lasting_ns else []
        argv += ["--cooldown-ns", str(self.cooldown_ns), "--timeout-ns", str(self.timeout_ns)]
        return [*argv, "--samples", scene.log, *scene.socket_options]

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and loop, rate, arrivals, connections and threads."""
        is_open = self.loop() == "open"
        return super().described() | {
            "rate_rps": self.rate_rps,
            "arrivals": self.arrivals if is_open else None,
            "burst": self.burst if self.arrivals == "burst" else None,
            "depth": None if is_open else self.depth,
            "connections": self.connections,
            "threads": self.threads,
            "count": self.count,
            "cooldown_s": self.cooldown_ns / 1e9,
            "timeout_s": self.timeout_ns / 1e9,
            "seed": self.seed,
        }


class Load(Generated, OwnSockets):
    """Latency counts from the moment a request was due, so that a slow server cannot hide requests it held up."""

    kind: Literal["load"] = Field(description="our generator: open or closed loop")
    protocol: Literal["udp", "tcp"] = Field("udp", description="TCP sockets have TCP_NODELAY")
    wait: Wait = Field("blocking", description="how both ends wait for a message")
    server_wait: Literal["blocking", "spin", "epoll", "poll", "select", "uring"] | None = Field(
        None, description="the server's way to wait, if not `wait`; uring: io_uring with NAPI busy polling"
    )
    server_threads: Count | None = Field(
        None,
        ge=1,
        le=10_000,
        description="threads of the server, each with a socket of its own (SO_REUSEPORT); for blocking TCP as many "
        "as connections if absent, else 1",
    )
    server_thread_cpus: CpuOrder | None = Field(
        None, description="CPUs of the server's threads, in this order and round again"
    )
    server_layout: Literal["hash", "napi"] = Field(
        "hash",
        description="TCP, server_wait: epoll, several threads: a connection is served by the thread that the kernel's "
        "hash chooses, or by that of the NAPI by which it came (SO_INCOMING_NAPI_ID)",
    )
    size: Sizes = Field("64", description="payload of a request")
    response_size: Sizes | None = Field(None, description="payload of a reply; that of its request if absent")
    udp_gro: OnOff = Field(
        False,
        description="UDP: the server takes several datagrams at once (UDP_GRO), as QUIC servers do; while it "
        "busy-polls, the kernel holds each until the poll ends",
    )
    udp_batch: Count | None = Field(
        None,
        ge=2,
        le=1024,
        description="UDP: the server takes up to so many datagrams by one recvmmsg and answers them by one sendmmsg; "
        "one by one if absent",
    )
    zerocopy: OnOff = Field(
        False,
        description="TCP: the server has its replies sent from where it made them (MSG_ZEROCOPY), and waits for the "
        "kernel's word before it writes there again; a veth pair copies them all the same, and the run says so",
    )
    uring_napi: Literal["dynamic", "static"] = Field(
        "dynamic",
        description="server_wait: uring: it polls the NAPIs of the sockets that it waits for, or those that the server "
        "names to it once, of each socket's first packet (Linux 6.13)",
    )
    uring_multishot: OnOff = Field(
        False,
        description="server_wait: uring, TCP: one receive of a connection goes on bringing what comes, in buffers that "
        "the server provides",
    )
    connect_per_request: OnOff = Field(False, description="TCP: every request opens and closes a connection")
    service: Service | None = Field(None, description="CPU work of the server per request; none if absent")
    phases: OnOff = Field(
        False, description="split each request's time by software timestamps; costs some microseconds per request"
    )
    txtime_ns: DurationNs | None = Field(
        None,
        gt=0,
        le=TXTIME_MAX_NS,
        alias="txtime",
        description="UDP, one connection: the client hands each request over with a departure time so much later "
        "(SO_TXTIME); `qdisc: {kind: fq}` on its way out holds it until then, which is in the round trip",
    )
    stall_ns: DurationNs | None = Field(
        None,
        gt=0,
        le=SERVICE_MAX_NS,
        alias="stall",
        description="the server answers nothing for so long (to test the measurement)",
    )
    stall_every_ns: DurationNs = Field(
        10_000_000, gt=0, le=SERVICE_MAX_NS, alias="stall_every", description="period of the stalls"
    )
    port: Count = Field(0, ge=0, le=65535, description="port of the server; any free one if 0")

    rank: ClassVar[int] = 20

    @model_validator(mode="after")
    def _options_fit(self) -> Load:
        if self.connect_per_request and self.protocol != "tcp":
            raise ValueError("connect_per_request needs a connection; add protocol: tcp")
        if self.udp_gro and (self.protocol != "udp" or self.phases or self.wait_of("server") == "uring"):
            raise ValueError("udp_gro is of UDP sockets, and goes neither with phases nor with server_wait: uring")
        in_ring = self.wait_of("server") == "uring"
        if self.udp_batch and (self.protocol != "udp" or self.phases or self.udp_gro or in_ring):
            raise ValueError("udp_batch is of UDP sockets, and goes without phases, udp_gro and server_wait: uring")
        if self.uring_multishot and not (in_ring and self.protocol == "tcp"):
            raise ValueError("uring_multishot is of a TCP server in io_uring; add protocol: tcp, server_wait: uring")
        if self.server_layout == "napi" and (
            self.protocol != "tcp" or self.wait_of("server") != "epoll" or self.threads_of_server() < 2 or self.zerocopy
        ):
            raise ValueError("server_layout: napi needs protocol: tcp, server_wait: epoll, server_threads: 2 or more")
        if self.zerocopy and (self.protocol != "tcp" or self.phases or in_ring):
            raise ValueError("zerocopy is of TCP here, and goes without phases and server_wait: uring")
        if self.uring_napi == "static" and self.wait_of("server") != "uring":
            raise ValueError("uring_napi is of a server in io_uring; add server_wait: uring")
        if self.wait_of("server") == "select" and self.connections > SELECT_MOST:
            raise ValueError(f"select() waits on {SELECT_MOST} sockets at most; take server_wait: poll")
        if self.connect_per_request and self.depth > self.connections // self.threads:
            needs = f"needs as many connections per thread; connections: {self.depth * self.threads}"
            raise ValueError(f"connect_per_request with depth {self.depth} {needs}")
        if self.stall_ns is not None and self.stall_ns >= self.stall_every_ns:
            raise ValueError("stall is no shorter than its period; make stall_every longer")
        if self.txtime_ns is not None and self._mistimes():
            raise ValueError(
                "txtime is of a client with one UDP socket of the kernel, without phases, and shorter than timeout"
            )
        self._sizes_fit()
        blocking_tcp = self.protocol == "tcp" and self.wait_of("server") == "blocking"
        if blocking_tcp and self.server_threads is not None and self.server_threads < self.connections:
            raise ValueError(
                f"{self.server_threads} blocking server threads cannot serve {self.connections} connections; "
                "as many as connections, or server_wait: epoll"
            )
        return self

    @model_validator(mode="after")
    def _phases_fit(self) -> Load:
        if not self.phases:
            return self
        if self.connections > 1 or self.threads > 1 or self.threads_of_server() > 1:
            raise ValueError("phases need one connection, and one thread at either end")
        if self.connect_per_request:
            raise ValueError("phases need a connection that lasts; leave out connect_per_request, or phases")
        if self.wait_of("server") == "uring":
            raise ValueError("phases cannot be taken with server_wait: uring; choose another, or no phases")
        return self

    def _mistimes(self) -> bool:
        """Is there anything beside txtime that does not go with it?"""
        other_socket = self.protocol != "udp" or "client" in self.xdp_roles() or self.connections > 1
        return other_socket or self.phases or (self.txtime_ns or 0) >= self.timeout_ns

    def _sizes_fit(self) -> None:
        self._sizes_within(PHASES_MIN_BYTES if self.phases else MESSAGE_MIN_BYTES)

    def _sizes_within(self, low: int) -> None:
        least = "has no room for its header" + (" and the time stamps of phases" if self.phases else "")
        high = UDP_MAX_BYTES if self.protocol == "udp" else TCP_MAX_BYTES
        most = f"is over the {high} bytes of a {'datagram' if self.protocol == 'udp' else 'message'}"
        if self.xdp_roles():
            high = FRAME_MAX_BYTES
            most = f"is over the {high} bytes that one frame of an af_xdp socket holds"
        for key, sizes in (("size", self.size), ("response_size", self.response_size)):
            if sizes is not None:
                check_within(key, sizes, low, high, least, most)

    def threads_of_server(self) -> int:
        """A thread per connection where each blocks on one; else what was declared, or one."""
        if self.server_threads is not None:
            return self.server_threads
        return self.connections if self.protocol == "tcp" and self.wait_of("server") == "blocking" else 1

    def server(self, scene: Scene) -> list[str]:
        """Our own generator's server."""
        argv = ["server", "--protocol", self.protocol, "--wait", self.wait_of("server"), *self._messages(scene)]
        argv += ["--listen", scene.address, "--port", str(self.port), "--seed", str(self.seed)]
        argv += ["--threads", str(self.threads_of_server())]
        argv += ["--thread-cpus", _in_order(self.server_thread_cpus)] if self.server_thread_cpus else []
        argv += ["--service", self.service.option()] if self.service else []
        argv += ["--udp-gro"] if self.udp_gro else []
        argv += ["--multishot"] if self.uring_multishot else []
        argv += ["--zerocopy"] if self.zerocopy else []
        argv += ["--by-napi"] if self.server_layout == "napi" else []
        argv += ["--batch", str(self.udp_batch)] if self.udp_batch else []
        argv += ["--uring-napi", "static"] if self.uring_napi == "static" else []
        argv += ["--stall", f"{self.stall_ns}:{self.stall_every_ns}"] if self.stall_ns else []
        return [*argv, *self.xdp_options("server"), *scene.socket_options]

    def client(self, scene: Scene) -> list[str]:
        """Our own generator's client."""
        argv = [*self.generator_options(scene), *self._messages(scene), *self.xdp_options("client")]
        argv += ["--txtime-ns", str(self.txtime_ns)] if self.txtime_ns else []
        return argv + (["--connect-per-request"] if self.connect_per_request else [])

    def can_be_timed(self) -> bool:
        """Unless messages are too small for it, or the requests' stamps are of their departures."""
        if self.txtime_ns:
            return False
        try:
            self._sizes_within(TIMED_MIN_BYTES)
        except ValueError:
            return False
        return True

    def _messages(self, scene: Scene) -> list[str]:
        """What both ends must agree on."""
        argv = ["--size", self.size]
        # With it a reply is no echo from the request's memory, but made in memory of its own.
        response = self.response_size or (self.size if self.zerocopy else None)
        argv += ["--response-size", response] if response else []
        if scene.timed and self.can_be_timed():
            return [*argv, "--times"]
        return argv + (["--phases"] if self.phases else [])

    def described(self) -> dict[str, Fact]:
        """The facts of every workload of our client, and sizes and the server's side."""
        return super().described() | {
            "size_bytes": fixed_bytes(self.size),
            "sizes": None if fixed_bytes(self.size) else self.size,
            "response_sizes": self.response_size,
            "stall_s": self.stall_ns / 1e9 if self.stall_ns else None,
            "stall_every_s": self.stall_every_ns / 1e9 if self.stall_ns else None,
            "connect_per_request": "on" if self.connect_per_request else None,
            "phases": "on" if self.phases else None,
            "udp_gro": "on" if self.udp_gro else None,
            **({"uring_multishot": "on"} if self.uring_multishot else {}),
            **({"zerocopy": "on"} if self.zerocopy else {}),
            **({"udp_batch": str(self.udp_batch)} if self.udp_batch else {}),
            **({"server_layout": "napi"} if self.server_layout == "napi" else {}),
            **({"txtime_s": self.txtime_ns / 1e9} if self.txtime_ns else {}),
            "server_threads": self.threads_of_server(),
            "service": self.service.option() if self.service else None,
        }


def _in_order(cpus: tuple[int, ...]) -> str:
    """CPU numbers as the generator takes them, thread by thread."""
    return ",".join(map(str, cpus))
