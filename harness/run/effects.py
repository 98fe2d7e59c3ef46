"""Whether what a case sets took effect in one run: every row of its knobs answered, and why a run is inert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.knobs import Knob, Seen
from harness.knobs.polling import POLLING, hints
from harness.run.metrics import seen_on
from harness.run.outcome import Outcome
from harness.spec.cells import CellSpec
from harness.store.record import ALREADY_SO, NO_TRAFFIC, KnobRow

# Neighbours are looked up and bridges greet each other on a device that no workload uses.
_QUIET_PACKETS, _QUIET_PER_S, _QUIET_SHARE = 10, 5, 0.01


def quiet_devices(outcome: Outcome) -> dict[tuple[str, str], int]:
    """The devices that no workload's packets passed, by node and name, and how many packets of any kind did.

    Few for the length of the run and few beside the busiest device of it. None where nobody counted packets.
    """
    packets = {
        (node, name.split(":")[1]): count
        for node, counters in outcome.delta.nodes.items()
        for name, count in counters.items()
        if name.startswith("link:") and name.endswith(":packets")
    }
    few = _QUIET_PACKETS + _QUIET_PER_S * outcome.delta.elapsed_ns / 1e9
    limit = min(few, _QUIET_SHARE * max(packets.values(), default=0))
    return {device: count for device, count in packets.items() if count <= limit}


def judged(spec: CellSpec, outcome: Outcome, rows: list[KnobRow]) -> tuple[list[KnobRow], list[str]]:
    """The rows with took_effect and evidence; and a reason for every knob, or setting of one, that did nothing.

    What was already so is no reason: the run was made under the setting asked for. Nor is a device without traffic
    where the same knob has traffic to act on elsewhere.
    """
    settings = spec.confined() | spec.settings
    quiet = quiet_devices(outcome)
    out = list(rows)
    judgements = []
    for node, knobs in settings.items():
        seen = seen_on(outcome, node, spec.checks.min_polled_share, settings)
        for name, model in knobs.items():
            judgement = _Judgement(node, name, model, seen)
            for number, row in enumerate(rows):
                if (row.node, row.knob) == (node, name):
                    out[number] = judgement.row(row, quiet)
            judgements.append(judgement)
    busy = {judgement.knob for judgement in judgements if not judgement.without_traffic()}
    return out, [reason for judgement in judgements for reason in judgement.reasons(busy)]


def polling(spec: CellSpec, outcome: Outcome) -> tuple[dict[str, str], list[str]]:
    """What came of busy polling on each node that was told to, in a word; and what has to be known of it, in words.

    polled: packets were; spun: CPU time was spent in vain; inert: nothing acted; "unclear" where nothing tells.
    """
    settings = spec.confined() | spec.settings
    words: dict[str, str] = {}
    known: list[str] = []
    for node, knobs in settings.items():
        asked = [name for name in POLLING if name in knobs and knobs[name].needs_napi()]
        if not asked:
            continue
        seen = seen_on(outcome, node, spec.checks.min_polled_share, settings)
        effects = [knobs[name].effect(seen) for name in asked]
        if any(effect.took for effect in effects):
            words[node] = "polled"
            known += [f"{node}: {hint}" for hint in hints(seen)]
        elif any(effect.spun for effect in effects):
            words[node] = "spun"
        else:
            words[node] = "unclear" if any(effect.took is None for effect in effects) else "inert"
    return words, known


class _Judgement:
    """What became of one knob on one node; `row` is given every row of it, then `reasons` tells."""

    def __init__(self, node: str, knob: str, model: Knob, seen: Seen) -> None:
        self.node, self.knob = node, knob
        self._effect, self._without_work = model.effect(seen), model.without_work(seen)
        self._quiet: list[str] = []
        self._already = self._acted_on = 0
        self._idle: dict[str, str] = {}

    def row(self, row: KnobRow, quiet: Mapping[tuple[str, str], int]) -> KnobRow:
        """The row with its answer: no traffic, already so, nothing to act on, else what the knob as a whole did."""
        device = (row.node, row.setting.partition(" ")[0])
        setting = row.setting.rpartition(" ")[2]
        if row.scope == "device" and device in quiet:
            reason = f"{NO_TRAFFIC}: {quiet[device]} packets passed {device[1]} during the run"
            self._quiet.append(reason)
        elif self._was_so(row):
            reason = ALREADY_SO
            self._already += 1
        elif setting in self._without_work:
            reason = self._idle[setting] = self._without_work[setting]
        else:
            self._acted_on += 1
            return replace(row, took_effect=self._effect.took, evidence=self._effect.evidence)
        return replace(row, took_effect=False, evidence=reason)

    @staticmethod
    def _was_so(row: KnobRow) -> bool:
        """Was the value there before? Of a socket that says nothing: it may have it from the listener that we set."""
        return row.scope in ("device", "host") and row.found is not None and row.found == row.applied

    def without_traffic(self) -> bool:
        """Are all its devices without traffic?"""
        return bool(self._quiet) and not (self._already or self._acted_on or self._idle)

    def reasons(self, busy: set[str]) -> list[str]:
        """Why the run is inert. busy: the knobs that have traffic to act on, on whatever node."""
        if self.without_traffic():
            return [] if self.knob in busy else [f"{self.knob} on {self.node} took no effect: {self._quiet[0]}"]
        if self._effect.took is False and (self._acted_on or self._idle or not self._already):
            came = "spun, polled nothing" if self._effect.spun else "took no effect"
            return [f"{self.knob} on {self.node} {came}: {self._effect.evidence}"]
        return [
            f"{setting} of {self.knob} on {self.node} took no effect: {reason}"
            for setting, reason in self._idle.items()
        ]
