"""Which idle states the CPU set was in, and the energy of a request, where a host tells them."""

from __future__ import annotations

from harness.run.counters import CounterDelta
from harness.store.record import Metrics


def idling(delta: CounterDelta, answered: int | None) -> Metrics:
    """Columns of runs.csv on idle states and energy, over all hosts; none where no host tells."""
    figures: Metrics = {}
    known = [host for host in delta.hosts.values() if host.idle_states]
    whole_us = sum(len(host.cpus) for host in known) * delta.elapsed_ns / 1e3
    if whole_us:
        shallow_us = sum(host.idle_states[0].time_us for host in known)
        deeper_us = sum(state.time_us for host in known for state in host.idle_states[1:])
        figures["idle_shallowest_percent"] = 100 * shallow_us / whole_us
        figures["idle_deeper_percent"] = 100 * deeper_us / whole_us
    used_uj = [host.energy_uj for host in delta.hosts.values() if host.energy_uj is not None]
    if used_uj:
        figures["energy_uj_per_request"] = sum(used_uj) / answered if answered else None
    return figures
