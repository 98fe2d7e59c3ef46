"""Which runs are made again because noise spoilt them, and how long that and waiting for quiet may take in all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.plan import Plan, Run, again_s
from harness.store import RunRecord

MOST_ATTEMPTS = 4
"""A run that was spoilt so often stays as it is: what spoils it does not pass."""
IN_A_ROW = 6
"""After so many spoilt attempts, of whatever runs, none is made again until one was quiet by itself."""
LONGEST_WAIT_S = 10.0
"""The longest wait for a quiet moment; half of it after a wait in vain, and whole again after a quiet moment."""


class Redo:
    """The account of a plan's noise: `checks.redo` of its time is there for attempts made again, and for waiting.

    Nothing but `RunRecord.noise` decides, which is judged by what other programs, the hypervisor and the clock did.
    """

    def __init__(self, plan: Plan, records: Iterable[RunRecord] = ()) -> None:
        """records: what was made before, whose attempts and waits are paid from the same account."""
        self._plan, self._spent_s, self._spoilt = plan, 0.0, 0
        self._wait_s, self._patience_s = LONGEST_WAIT_S, 0.0
        self._allowed_s: dict[int, float] = {}
        for record in records:
            self._spent_s += record.again_s + waited_s(record)

    def allowed_s(self, block: int) -> float:
        """What may be spent by the end of a block; of a plan that adapts the blocks that may not come are not in it."""
        until = self._plan.repeat
        if self._plan.adaptive is not None:
            until = max(self._plan.adaptive.least, block)
        if until not in self._allowed_s:
            runs = tuple(run for run in self._plan.runs if run.block <= until)
            self._allowed_s[until] = again_s(replace(self._plan, runs=runs))
        return self._allowed_s[until]

    def patience_s(self, run: Run) -> float:
        """How long the run may wait for a quiet moment."""
        self._patience_s = 0.0
        if run.cell.spec.checks.redo:
            self._patience_s = max(0.0, min(self._wait_s, self.allowed_s(run.block) - self._spent_s))
        return self._patience_s

    def why_not(self, run: Run, record: RunRecord, attempt: int) -> str | None:
        """None where the run is to be made again, else why not; "" where no noise spoilt it, or nobody wants it again.

        attempt: which this was, from 1.
        """
        waited = waited_s(record)
        self._spent_s += waited
        if self._patience_s:
            self._wait_s = self._wait_s / 2 if waited >= self._patience_s else LONGEST_WAIT_S
        self._spoilt = self._spoilt + 1 if record.noise else 0
        if not record.noise or not run.cell.spec.checks.redo:
            return ""
        if attempt >= MOST_ATTEMPTS:
            return f"{attempt} attempts were spoilt"
        if self._spoilt >= IN_A_ROW:
            return f"{self._spoilt} attempts in a row were spoilt, so the noise does not pass"
        allowed_s, cost_s = self.allowed_s(run.block), record.wall_s or 0.0
        if self._spent_s + cost_s > allowed_s:
            return f"{self._spent_s:.0f} s of the {allowed_s:.0f} s for that (checks.redo) are spent"
        # The wait is in the run's wall time too.
        self._spent_s += cost_s - waited
        return None


def waited_s(record: RunRecord) -> float:
    """How long a run waited for a quiet moment."""
    return float(record.metrics.get("quiet_wait_s") or 0.0)
