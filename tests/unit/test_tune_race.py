"""The race of settings by itself, on made-up spaces: whom it chooses, for how many runs, and when it claims nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness.analysis.tune.certificate import certify, two_states
from harness.analysis.tune.model import Runs, fit, kernels
from harness.analysis.tune.race import Question, Race, Seen
from tests.bench.study_tune import drawn_front, make, tuned
from tests.bench.study_tune_real import least_runs
from tests.bench.tune_worlds import World


def test_the_model_tells_of_settings_that_never_ran() -> None:
    levels = np.repeat(np.arange(6), 6), np.tile(np.arange(6), 6)
    truth = 0.5 * levels[0] + 0.2 * np.abs(levels[1] - 3)
    rng = np.random.default_rng(5)
    ran = rng.choice(36, 18, replace=False)
    again = np.concatenate([ran, ran[:8]])
    value = truth[again] + rng.normal(0, 0.05, len(again))
    posterior = fit(
        kernels([[(levels[0], True)], [(levels[1], True)]]), Runs(again, np.r_[ran * 0, ran[:8] * 0 + 1], value)
    )
    unseen = np.setdiff1d(np.arange(36), ran)
    assert np.corrcoef(posterior.mean[unseen], truth[unseen])[0, 1] > 0.95
    assert np.mean(np.abs(posterior.mean - truth)[unseen] < 2 * posterior.sd[unseen]) > 0.8


def test_a_race_claims_the_best_for_a_fraction_of_the_full_grid() -> None:
    outcome = tuned(100, "quiet", 2, beside_grid=False)
    assert outcome.right
    assert outcome.claims, outcome.doubts
    assert outcome.share < 1 / 6


def test_a_race_out_of_runs_claims_nothing() -> None:
    world = World(100, "quiet", 3)
    race = Race(Question((1 / 3,) * 3, limits=1, most_runs=90), world.alike)
    while not race.piloted:
        race.take(make(world, race.pilot()))
    while (step := race.step()) is not None:
        race.take(make(world, step))
    assert race.outcome == "budget"
    certificate = certify(race)
    assert certificate is not None
    assert not certificate.sure
    assert "budget" in certificate.doubts[0]


def test_two_states_are_seen_and_one_is_not_doubted() -> None:
    rng = np.random.default_rng(1)
    one = [bool(two_states(rng.normal(0, 0.1, 16).tolist(), 0.1)) for _ in range(200)]
    assert np.mean(one) < 0.03
    both = [
        bool(two_states((np.where(rng.random(16) < 0.35, 0.5, 0) + rng.normal(0, 0.05, 16)).tolist(), 0.1))
        for _ in range(60)
    ]
    assert np.mean(both) > 0.9
    # States that lie within the tolerance do not matter.
    assert not two_states([0.0] * 8 + [0.05] * 8, 0.1)


def test_no_certificate_where_the_leader_has_two_states() -> None:
    world = World(100, "quiet", 0)
    race = Race(Question((1 / 3,) * 3, limits=1), world.alike)
    while not race.piloted:
        race.take(make(world, race.pilot()))
    while (step := race.step()) is not None:
        seen = make(world, step)
        if step.kind == "confirm":
            leader = race.confirmed[0]
            slow = step.round % 2
            seen = [replace(run, goal=run.goal + 1.0 * slow) if run.setting == leader else run for run in seen]
        race.take(seen)
    certificate = certify(race)
    assert certificate is not None
    assert not certificate.sure
    assert any("two states" in doubt for doubt in certificate.doubts)


def test_a_race_for_a_front_finds_most_of_it_for_a_fraction_of_the_full_grid() -> None:
    drawn = [drawn_front(100, "quiet", seed, beside_grid=False) for seed in (2, 3, 4)]
    assert {one.outcome for one in drawn} == {"sure"}
    # Three, for one of them hangs on the last digits of the machine's sums.
    assert np.mean([(one.recall, one.precision) for one in drawn]) >= 0.9
    assert max(one.share for one in drawn) < 1 / 4


def test_seen_runs_of_one_load_only_are_no_evaluation() -> None:
    race = Race(Question((0.5, 0.5)), kernels([[(np.arange(4), True)]]))
    race.take([Seen(1, 0, 1, 0.5), Seen(1, 1, 1, 0.7), Seen(2, 0, 1, 0.1)])
    assert race.evaluations() == [(1, 1, 0.6, ())]


def test_the_bound_of_two_settings_is_the_known_one() -> None:
    variance, apart, tolerance = 0.02, 0.3, np.log(1.1)
    nats = 0.9 * np.log(19)
    known = 8 * nats * variance / (apart + tolerance) ** 2  # of two as noisy ones half the runs each
    needed = least_runs(np.array([0.0, apart]), np.full(2, variance), 0.1, 0.05)
    assert np.allclose(needed, known / 2, rtol=0.03)
