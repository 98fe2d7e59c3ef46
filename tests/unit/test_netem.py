"""What netem does by chance: what is declared of it, what that comes to, and what the kernel is told."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.kernel import netem, readback
from harness.spec.delay_table import NAMES, UNIT, delay_table
from harness.spec.load import load_experiment
from harness.spec.netem import correlated_share
from harness.spec.rules_netem import netem_mistakes
from harness.spec.shape import Shape
from harness.topology.qdiscs import discs_of
from tests import experiment
from tests.unit.test_qdisc_codec import as_pyroute2_reads, back, on_the_wire

TC = Path("/usr/lib/x86_64-linux-gnu/tc")
DRAWS = 60_000


def shape(**keys: Any) -> Shape:
    return Shape.model_validate(keys)


@pytest.mark.parametrize("name", NAMES)
def test_a_distribution_is_the_one_that_tc_has(name: str) -> None:
    """Within what one draw in a hundred is off by: tc's normal was made from a table of its own."""
    ours = delay_table(name, None)
    if not (file := TC / f"{name}.dist").exists():
        pytest.skip("iproute2 is not installed here")
    lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
    theirs = sorted(int(word) for line in lines for word in line.split())
    assert len(ours) == len(theirs) and list(ours) == sorted(ours)
    assert max(abs(one - two) for one, two in zip(ours[20:-20], theirs[20:-20], strict=True)) < 0.01 * UNIT
    for moment in (statistics.fmean, statistics.pstdev):
        assert moment(ours) == pytest.approx(moment(theirs), abs=0.002 * UNIT)


def gilbert_elliott(chance: random.Random, p: float, r: float, h: float, k: float) -> Iterator[bool]:
    """The kernel's own steps: the state goes on first, the fate is still the old state's."""
    bad = False
    while True:
        old = bad
        bad = (chance.random() >= r) if old else (chance.random() < p)
        yield chance.random() > h if old else chance.random() < k


def four_states(chance: random.Random, p13: float, p31: float, p32: float, p23: float, p14: float) -> Iterator[bool]:
    state = 1
    while True:
        drawn = chance.random()
        if state == 1:
            state = 4 if drawn < p14 else 3 if drawn < p14 + p13 else 1
        elif state == 2:
            state = 3 if drawn < p23 else 2
        elif state == 3:
            state = 2 if drawn < p32 else 1 if drawn < p32 + p31 else 3
        else:
            state = 1
        yield state in (3, 4)


@pytest.mark.parametrize(
    ("declared", "steps"),
    [
        ({"gilbert_elliott": {"to_bad": "1%", "to_good": "20%"}}, (gilbert_elliott, 0.01, 0.2, 0.0, 0.0)),
        (
            {"gilbert_elliott": {"to_bad": "5%", "to_good": "30%", "bad_loss": "60%", "good_loss": "2%"}},
            (gilbert_elliott, 0.05, 0.3, 0.4, 0.02),
        ),
        (
            {"four_states": {"p13": "2%", "p31": "20%", "p32": "10%", "p23": "30%", "p14": "3%"}},
            (four_states, 0.02, 0.2, 0.1, 0.3, 0.03),
        ),
    ],
)
def test_a_chain_loses_as_much_as_its_steps_do(declared: dict[str, Any], steps: tuple[Any, ...]) -> None:
    model, *chances = steps
    chain = shape(**declared).chain
    assert chain is not None
    fates = list(itertools.islice(model(random.Random(1), *chances), DRAWS))
    bursts = [len(list(run)) for lost, run in itertools.groupby(fates) if lost]
    slack = 4 * (chain.share() * chain.inflation() / DRAWS) ** 0.5
    assert statistics.fmean(fates) == pytest.approx(chain.share(), abs=slack)
    assert statistics.fmean(bursts) == pytest.approx(chain.burst(), rel=0.1)


def test_a_correlation_leaves_less_than_is_asked_for() -> None:
    for share, like in ((0.1, 0.25), (0.3, 0.5), (0.5, 0.9)):
        chance, drawn, met = random.Random(1), 0.5, 0
        for _ in range(DRAWS):
            drawn = (1 - like) * chance.random() + like * drawn
            met += drawn < share
        assert correlated_share(share, like) == pytest.approx(met / DRAWS, abs=0.02)
    assert correlated_share(0.01, 0.25) < 1e-4
    assert (correlated_share(0.01, 0), correlated_share(1.0, 0.5)) == (0.01, 1.0)


RARE: dict[str, Any] = {
    "delay": "10ms", "jitter": "2ms", "reorder": "25%", "gap": 5, "duplicate": "1%", "corrupt": "3%", "ecn": True,
    "loss": "2%", "seed": 2**53, "slots": {"least": "1ms", "most": "3ms", "packets": 20},
    "correlation": {"delay": "10%", "loss": "20%", "duplicate": "30%", "reorder": "40%", "corrupt": "50%"},
}  # fmt: skip


def test_what_is_rarer_reaches_the_kernel_and_comes_back() -> None:
    (disc,) = discs_of(shape(**RARE))
    assert readback.differences(disc.options, back("netem", disc.options)) == []
    told = as_pyroute2_reads("netem", disc.options).get_attr("TCA_OPTIONS")
    full = 2**32 - 1
    correlations = told.get_attr("TCA_NETEM_CORR")
    shares = [correlations[f"{name}_corr"] / full for name in ("delay", "loss", "dup")]
    assert shares == pytest.approx([0.1, 0.2, 0.3])
    assert told.get_attr("TCA_NETEM_CORRUPT")["prob_corrupt"] / full == pytest.approx(0.03)
    assert told.get_attr("TCA_NETEM_REORDER")["corr_reorder"] / full == pytest.approx(0.4)
    assert told["gap"] == 5
    # What the kernel has lost is missed, whatever it was.
    for name in disc.options:
        if name not in ("slot_bytes", "limit", "delay_ns", "jitter_ns"):
            there = {key: value for key, value in disc.options.items() if key != name}
            assert readback.differences(disc.options, there) == [f"{name} missing instead of {disc.options[name]}"]


def test_a_seed_that_the_kernel_drew_is_nobody_s() -> None:
    assert "seed" not in back("netem", {"limit": 1, "seed": 2**64 - 5})
    assert back("netem", {"limit": 1, "seed": 2**53})["seed"] == 2**53


@pytest.mark.parametrize(
    "model",
    [
        {"gilbert_elliott": {"to_bad": "1%", "to_good": "20%", "bad_loss": "90%", "good_loss": "1%"}},
        {"four_states": {"p13": "1%", "p31": "20%", "p32": "10%", "p23": "30%", "p14": "2%"}},
    ],
)
def test_a_model_of_loss_comes_back(model: dict[str, Any]) -> None:
    (disc,) = discs_of(shape(**model))
    assert readback.differences(disc.options, back("netem", disc.options)) == []


def test_a_table_goes_with_the_delay_alone() -> None:
    travel, serial = discs_of(shape(rate="10mbit", delay="10ms", jitter="1ms", distribution="normal"))
    assert serial.table == () and travel.table == delay_table("normal", None)
    attribute = netem.table_attribute(travel.table)
    # The last of 4,096 values is 3.7 jitters; a slot may be closed for longer than that.
    assert shape(delay="10ms", jitter="1ms", distribution="normal").held_ns == pytest.approx(13.7e6, abs=5e4)
    assert shape(delay="10ms", jitter="1ms", slots={"least": "2ms", "most": "5ms"}).held_ns == 16_000_000
    assert len(attribute) == 4 + 2 * 4096 and attribute not in on_the_wire("netem", travel.options)


@pytest.mark.parametrize(
    ("declared", "key", "got"),
    [
        ({"distribution": "normal"}, "distribution", "means nothing without a jitter"),
        ({"gap": 5}, "gap", "means nothing without a reorder"),
        ({"ecn": True, "delay": "1ms"}, "ecn", "nothing would be"),
        ({"seed": 1, "delay": "1ms"}, "seed", "nothing here is left to chance"),
        (
            {"rate": "1mbit", "loss": "1%", "seed": 1, "changes": {"steps": [{"at": "1s", "delay": "1ms"}]}},
            "seed",
            "begin its draws anew",
        ),
        ({"loss": "1%", "correlation": {"corrupt": "1%"}}, "correlation.corrupt", "means nothing without corrupt"),
        ({"loss": "1%", "gilbert_elliott": {"to_bad": "1%", "to_good": "1%"}}, "gilbert_elliott", "takes the place"),
        ({"four_states": {"p13": "90%", "p31": "1%", "p14": "20%"}}, "four_states", "add up to over 100%"),
        ({"slots": {"least": "2ms", "most": "1ms"}}, "slots.most", "most is less than least"),
        ({"rate": "1mbit", "qdisc": {"kind": "sfq", "ce_threshold": "1ms"}}, "qdisc.ce_threshold", "sfq has no"),
        ({"rate": "1mbit", "qdisc": {"kind": "fq", "ecn": True}}, "qdisc.ecn", "fq has no switch for ECN"),
    ],
)
def test_what_means_nothing_is_refused(declared: dict[str, Any], key: str, got: str) -> None:
    (mistake,) = netem_mistakes(shape(**declared))
    assert mistake[0] == key and got in mistake[1]


def test_a_distribution_of_ones_own_is_read_beside_the_file_that_names_it(tmp_path: Path) -> None:
    table = tmp_path / "two.dist"
    table.write_text("# two ways\n-8192 8192\n")
    topology = experiment.document()["topology"]
    topology["links"][0]["shape"] = {"delay": "9ms", "jitter": "1ms", "distribution": "two.dist"}
    [cell] = load_experiment(experiment.write(tmp_path, topology=topology)).cells
    forward = cell.spec.topology.links[0].forward
    assert forward is not None and forward.table == (-8192, 8192)
    table.write_text("1 2\n3 40000\n")
    with pytest.raises(InputError, match="40000") as caught:
        load_experiment(experiment.write(tmp_path, topology=topology))
    assert str(caught.value.where).endswith("two.dist:2:3")
    topology["links"][0]["shape"]["distribution"] = "nomal"
    with pytest.raises(InputError, match="or one of normal, pareto, paretonormal"):
        load_experiment(experiment.write(tmp_path, topology=topology))


def test_a_file_of_delays_that_is_none_hides_no_other_mistake(tmp_path: Path) -> None:
    """Each stands at its own key."""
    file = tmp_path / "x.yaml"
    file.write_text(
        "name: x\n"
        "topology:\n"
        "  nodes: {a: {}, b: {}}\n"
        "  links:\n"
        "    - between: [a, b]\n"
        '      forward: {delay: 9ms, jitter: 1ms, distribution: ""}\n'
        "      reverse: {delay: 9ms, jitter: 1ms, distribution: nomal, slots: {least: 2ms, most: 1ms}}\n"
        "workload: {kind: ping-pong, from: a, to: c}\n"
    )
    with pytest.raises(InputError) as caught:
        load_experiment(file)
    lines = [single.line().removeprefix(f"{file}:") for single in (caught.value, *caught.value.others)]
    assert [line.partition(": ")[0] for line in lines] == ["6:56", "7:56", "7:89", "8:42"]
    assert "its name is empty" in lines[0] and "or one of normal" in lines[0] and "No such file" in lines[1]
