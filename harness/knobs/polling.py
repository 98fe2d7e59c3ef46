"""How one tells that busy polling took effect: packets polled, a poll in vain, or why there was none."""

from __future__ import annotations

from harness.knobs.base import KnobEffect, Seen

_NO_XDP_NAPI = (
    "the kernel accepts the options on an AF_XDP socket and gives it no NAPI id with this driver and mode: nothing is "
    "polled (newer kernels take the id of the NAPI that the driver names for the queue as the socket is bound, and "
    "veth names none)"
)
POLLING = ("busy_poll", "epoll_busy_poll", "host_busy_poll")
"""The knobs that have packets busy-polled."""


def polled_effect(seen: Seen, own: str, setting: str, reaches: tuple[str, ...]) -> KnobEffect:
    """The proof of busy polling: packets that were received by polling, not by interrupt.

    own: the knob's name; setting: its name, for a message; reaches: the ways to wait in which it polls. The counter
    does not tell on whose behalf a packet was polled: where a setting does not reach the wait, another did it.
    """
    share = seen.polled_share()
    text = f"{seen.polled} of {seen.received} packets busy-polled ({share:.1%})"
    if seen.overcounted():
        text = f"the kernel counts {seen.polled} packets busy-polled where {seen.received} were received"
        return KnobEffect(None, f"{text}: it counts polls here, not packets, and no share can be told")
    if share >= seen.min_polled_share and seen.polled:
        waits = seen.waits or frozenset({seen.wait})
        if "" not in waits and waits.isdisjoint(reaches):
            text += f", none by this: {setting} does not reach a server or client that waits by `{seen.wait}`"
            return KnobEffect(False, text)
        others = [name for name in POLLING if name != own and name in seen.beside and seen.beside[name].needs_napi()]
        if not waits.issubset(reaches) and others:
            return KnobEffect(None, f"{text}, and nothing tells whether by this or by {' or '.join(others)}")
        return KnobEffect(True, "; ".join(filter(None, (text, *hints(seen)))))
    reason, in_vain = _why_not(seen, setting, reaches)
    spent = seen.feeding.spent() if any(seen.napi_ids) else ""
    return KnobEffect(False, "; ".join(filter(None, (text, reason, spent))), in_vain and seen.feeding.spun())


def hints(seen: Seen) -> list[str]:
    """What is to be known of polling that did act: datagrams that the kernel holds, NAPIs that take turns."""
    return list(filter(None, (seen.feeding.held_datagrams(), seen.feeding.in_one_epoll())))


def _why_not(seen: Seen, setting: str, reaches: tuple[str, ...]) -> tuple[str, bool]:
    """Why next to nothing was polled, "" where nothing tells; and whether it may all the same have polled in vain."""
    feeding = seen.feeding
    if not any(seen.napi_ids):
        return _no_napi(seen), False
    if shared := feeding.in_one_epoll():
        return shared, True
    threaded = seen.beside.get("threaded_napi")
    if not seen.polled and threaded is not None and threaded.needs_napi():
        return f"masked by threaded_napi on {seen.node}: a NAPI that its thread holds cannot be busy-polled", True
    if seen.wait in reaches:
        when = "while no packet is there yet and nobody else wants the CPU, and no longer than it is set to"
        return f"waiting by `{seen.wait}` polls only {when}", False
    if seen.wait and not seen.polled:
        return f"{setting} does not reach a server or client that waits by `{seen.wait}`", False
    return _missed(seen), False


def _no_napi(seen: Seen) -> str:
    """Why no socket of the node has a NAPI, or none is known of."""
    feeding = seen.feeding
    if feeding.is_all("mptcp"):
        return (
            "an MPTCP socket has no NAPI id, since packets come in by the TCP sockets beneath it: it takes "
            "SO_BUSY_POLL, and nothing is polled, on no datapath"
        )
    if feeding.is_all("af_xdp"):
        return _NO_XDP_NAPI
    if seen.unreached:
        programs = " and ".join(seen.unreached)
        if feeding.has("mptcp listener"):
            return (
                f"the {programs} listens by MPTCP, and such a listener does not hand SO_BUSY_POLL to the plain TCP "
                "sockets that it accepts: each must be there to be set before the measured time (warmup), or the "
                "program must set it, or listen by TCP"
            )
        return (
            f"no socket of the {programs} was found before the measured time: it opened them too late to be set (a "
            "longer warmup looks longer)"
        )
    return "the sockets saw no NAPI (SO_INCOMING_NAPI_ID 0): this datapath cannot be busy-polled"


def _missed(seen: Seen) -> str:
    """Of programs whose way to wait is not known: sockets that never got the option; "" where all have it."""
    if not {"busy_poll", "host_busy_poll"} & set(seen.beside):
        return ""
    late = [
        socket
        for socket in seen.feeding.sockets
        if socket.busy_poll_us == 0 and any(socket.napi_ids) and "listener" not in socket.kind
    ]
    if not late:
        return ""
    why = "it was opened too late to be set (a longer warmup looks longer)"
    if seen.feeding.has("mptcp listener") and late[0].kind == "tcp":
        why = (
            "an MPTCP listener hands it to no plain TCP socket that it accepts, and this one came after the last look: "
            "the program must set it, or listen by TCP"
        )
    return f"a socket of the {late[0].program} ({late[0].kind}) has SO_BUSY_POLL 0 at the end: {why}"


MASKED_SHARE = 0.99
"""From this share of busy-polled packets on, what works on packets that come by interrupt has next to none."""


def masked(seen: Seen) -> str:
    """By which busy polling the work on packets that come by interrupt is taken away, in words; "" where it is not."""
    if seen.polled_share() < MASKED_SHARE:
        return ""
    polling = [name for name in POLLING if name in seen.beside]
    by = " and ".join(name for name in polling if seen.beside[name].needs_napi()) or "the programs' own busy polling"
    on = f" on {seen.node}" if seen.node else ""
    return f"masked by {by}{on}: {seen.polled} of {seen.received} packets were busy-polled ({seen.polled_share():.1%})"
