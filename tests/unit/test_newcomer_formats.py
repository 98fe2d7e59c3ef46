"""A format or a workload is one new file: the command, the schema, sniffing and the pages follow by themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.formats import Format
from harness.formats.registry import by_name, classes_in
from harness.workloads import WORKLOADS, Workload

ROOT = Path(__file__).parents[2]
FORMAT = """\
'''The report of fable, a line a figure.'''

from __future__ import annotations

from collections.abc import Iterator

from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount


class FableReport(Format):
    '''One run per file.'''

    name = "fable"
    title = "fable's report"

    def sniff(self, head: Head) -> bool:
        '''By its first word.'''
        return head.text.startswith("fable: ")

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        '''One result.'''
        result = Result(workload={"kind": "fable"})
        for line in lines:
            key, _, value = line.text.removeprefix("fable: ").partition(" ")
            if key == "rate":
                result.metrics["rate_rps"] = amount(value)
            elif key == "mean":
                result.metrics["rtt_mean_us"] = amount(value)
            else:
                note(line.number, "the line is not understood")
        yield result
"""
WORKLOAD = """\
'''fable: a program that does not exist, as a workload.'''

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.formats import read_output
from harness.formats.fable import FableReport
from harness.units import Count
from harness.workloads.base import ProgramOutput, Reading, Scene, Workload


class Fable(Workload):
    '''Tells tales over TCP.'''

    kind: Literal["fable"] = Field(description="fable and fabled")
    port: Count = Field(7, ge=1, le=65535, description="port of the server")

    native: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[dict[str, str]] = {"client": "fable", "server": "fable"}
    has_requests: ClassVar[bool] = False

    def server(self, scene: Scene) -> list[str]:
        '''In the foreground.'''
        return ["fabled", scene.address, str(self.port)]

    def client(self, scene: Scene) -> list[str]:
        '''For so many seconds.'''
        return ["fable", scene.address, str(self.port), f"{(scene.lasting_ns or self.duration_ns) / 1e9:g}"]

    def read(self, output: ProgramOutput) -> Reading:
        '''Its rate and its mean.'''
        result, _ = read_output(FableReport(), output.client)
        return Reading.of_result(result)
"""
# What someone who has added the two files would try.
TRIES = """
import json, pathlib
from harness.importers import FORMATS, ImportOptions, choose_format
from harness.importers.files import gather
from harness.spec.load import load_experiment
from harness.spec.schema import schema
from tools import experiment_doc, importing_doc
pathlib.Path("out-2.txt").write_text("fable: rate 1000\\nfable: mean 12.5\\nfable: moral none\\n")
files = gather("out-2.txt")
reading = choose_format("auto", files).read(files, ImportOptions())
experiment = load_experiment("experiment.yaml")
print(json.dumps({
    "formats": list(FORMATS),
    "metrics": reading.runs[0].metrics,
    "findings": [finding.text for finding in reading.findings],
    "kind": experiment.cells[0].spec.workload.described()["kind"],
    "schema": "Fable" in schema()["$defs"],
    "pages": experiment_doc.render(experiment_doc.PAGE.read_text())
    + importing_doc.render(importing_doc.PAGE.read_text()),
}))
"""
EXPERIMENT = """
name: tales
topology: {nodes: {a: {}, b: {}}, links: [{between: [a, b]}]}
workload: {kind: fable, from: a, to: b}
"""


def test_two_new_files_are_enough(tmp_path: Path) -> None:
    for part in ("harness", "tools", "docs"):
        shutil.copytree(
            ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("*.c", "*.h", "__pycache__", "*.svg")
        )
    (tmp_path / "harness/formats/fable.py").write_text(FORMAT)
    (tmp_path / "harness/workloads/fable.py").write_text(WORKLOAD)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    done = subprocess.run([sys.executable, "-c", TRIES], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "fable" in answer["formats"] and answer["kind"] == "fable" and answer["schema"]
    assert answer["metrics"] == {"rate_rps": 1000, "rtt_mean_us": 12.5}
    assert answer["findings"] == ["the line is not understood"]
    assert "### `fable`\n\nTells tales over TCP.\n\n<!-- generated: Fable -->\n| Key |" in answer["pages"]
    assert "| `fable` | fable's report | a file |" in answer["pages"]


def test_a_name_that_is_taken_is_told_with_both_places() -> None:
    first: type[Format] = type("First", (Format,), {"name": "x"})
    second: type[Format] = type("Second", (Format,), {"name": "x"})
    with pytest.raises(ValueError, match=r"two are called 'x': .*\.First and .*\.Second; rename one"):
        by_name([first, second], lambda cls: cls.name)
    assert by_name([second, Format], lambda cls: str(getattr(cls, "name", ""))) == {"x": second}


def test_kinds_have_their_order_and_helpers_are_none() -> None:
    assert list(WORKLOADS)[:2] == ["ping-pong", "load"] and list(WORKLOADS)[-1] == "command"
    names = [cls.__name__ for cls in classes_in("harness.workloads", Workload)]
    assert "Generated" in names and "Generated" not in {cls.__name__ for cls in WORKLOADS.values()}
