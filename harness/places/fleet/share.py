"""The file that tells a host of a fleet which runs are its own: written here, read there by `run --share`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import InputError
from harness.places.fleet.pair import End
from harness.plan import Plan


@dataclass(frozen=True)
class Share:
    """A host's part of a plan.

    environment: facts that stand beside its runs; again: ids of runs that it has made, and is to make anew; end: which
    end of every run it is, where two hosts make the runs together.
    """

    plan: Plan
    environment: dict[str, str]
    again: tuple[str, ...] = ()
    end: End | None = None

    def write(self, path: Path) -> None:
        """Write it as JSON for `fleet_share` to read."""
        document = {"plan": self.plan.to_json(), "environment": self.environment, "again": self.again}
        ends = {"ends": asdict(self.end)} if self.end else {}
        path.write_text(json.dumps(document | ends))

    @classmethod
    def read(cls, path: str) -> Share:
        """The share that a file holds; raises InputError when it is damaged. `again` is the fleet's own affair."""
        try:
            document = json.loads(Path(path).read_bytes())
            end = End(**document["ends"]) if "ends" in document else None
            return cls(Plan.from_json(document["plan"], path), dict(document["environment"]), end=end)
        except (OSError, ValueError, KeyError, TypeError) as error:
            todo = "it is made by pollbench fleet run"
            raise InputError("read a share", path, str(error), todo, "--share") from None
