"""memcached: the stock server, and our own generator speaking its binary protocol to it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.units import Count, OnOff, Share, SizeBytes
from harness.workloads.base import Fact, Role, Scene
from harness.workloads.load import Generated
from harness.workloads.sizes import Sizes, check_within

# What the load generator takes; tests/unit/test_bounds.py compares with its own.
KEY_MAX_BYTES, VALUE_MAX_BYTES = 250, 1_000_000


class Memcached(Generated):
    """The published Facebook ETC workload: `etc-key` and `etc-value` as sizes, `arrivals: etc` for the gaps."""

    kind: Literal["memcached"] = Field(description="the stock memcached server, loaded by our generator")
    wait: Literal["spin", "epoll", "poll"] = Field("epoll", description="how the client waits")
    port: Count = Field(11211, ge=1, le=65535, description="port of the server")
    server_threads: Count = Field(1, ge=1, le=256, description="memcached -t: its worker threads")
    memory_bytes: SizeBytes = Field(64 << 20, ge=8 << 20, alias="memory", description="memcached -m: its store")
    keys: Count = Field(10_000, ge=1, le=10_000_000, description="number of different keys")
    key_size: Sizes = Field("30", description="size of a key")
    value_size: Sizes = Field("200", description="size of a value")
    get_share: Share = Field(0.9, alias="get", description="share of the requests that are gets; the rest are sets")
    preload: OnOff = Field(True, description="set every key before measuring, so that gets are hits")

    native: ClassVar[frozenset[str]] = frozenset({"client"})
    rank: ClassVar[int] = 60
    packages: ClassVar[dict[str, str]] = {"server": "memcached"}

    @model_validator(mode="after")
    def _sizes_fit(self) -> Memcached:
        digits = len(str(self.keys - 1))
        most = "is over what memcached takes"
        check_within("key_size", self.key_size, digits, KEY_MAX_BYTES, f"cannot tell {self.keys} keys apart", most)
        check_within("value_size", self.value_size, 0, VALUE_MAX_BYTES, "", most)
        return self

    def transport(self) -> str:
        """The binary protocol goes over TCP."""
        return "tcp"

    def shows_in_packets(self) -> bool:
        """Where a connection has one request at a time, and both ends a link between them."""
        alone = self.loop() == "closed" and self.depth * self.threads <= self.connections
        return alone and self.source != self.target

    def wait_of(self, role: Role) -> str:
        """memcached waits by epoll (libevent)."""
        return "epoll" if role == "server" else super().wait_of(role)

    def server(self, scene: Scene) -> list[str]:
        """In the foreground, TCP only, room for every connection.

        As root, in a namespace where nobody else is: a program that changes its user outlives a killed parent.
        """
        limit = str(max(1024, 2 * self.connections))
        argv = ["memcached", "-u", "root", "-l", scene.address, "-p", str(self.port), "-U", "0", "-c", limit]
        return [*argv, "-t", str(self.server_threads), "-m", str(max(8, self.memory_bytes >> 20))]

    def client(self, scene: Scene) -> list[str]:
        """Our own generator's client."""
        argv = [*self.generator_options(scene), "--protocol-app", "memcached", "--keys", str(self.keys)]
        argv += ["--key-size", self.key_size, "--value-size", self.value_size]
        argv += ["--get-ratio", f"{self.get_share:g}"]
        return argv + (["--preload"] if self.preload else [])

    def described(self) -> dict[str, Fact]:
        """The facts of every workload of our client, and the mix of requests."""
        return super().described() | {
            "server_threads": self.server_threads,
            "sizes": f"key {self.key_size}, value {self.value_size}",
            "get_share": self.get_share,
        }
