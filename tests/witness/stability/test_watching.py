"""Clipping, missteps, evaluations: what is named, in which words, and what is only logged."""

from __future__ import annotations

import math
import random

import pytest

from batchwright_witness.stability.remark import Remark
from batchwright_witness.stability.watching import Stability
from batchwright_witness.stability.windows import SIGMA, Window, median, spread


def watched(norms, **options):
    stability = Stability(**options)
    return [
        remark
        for step, norm in enumerate(norms, 1)
        for remark in stability.stepped(step, loss=1.0, norm=norm, skipped=False)
    ]


def norms(rng, *, clipped, steps):
    """Gradient norms of which a share is above 1."""
    return [rng.uniform(1.001, 3) if rng.random() < clipped else rng.uniform(0.1, 1) for _ in range(steps)]


def test_clipping_of_more_than_half_is_named_and_so_is_its_end():
    """The 90th percentile of the norms stands beside it: where the playbook would begin."""
    found = watched([2.0] * 300 + [0.5] * 300, max_norm=1.0)
    assert [(remark.step, remark.code) for remark in found] == [
        (256, "clipping-much"),
        (467, "clipping-less"),
    ]
    assert found[0].words == (
        "100 % of the last 256 steps were clipped at 1: more than half; 90 % of their gradient norms are below 2"
    )
    assert found[1].words == "35 % of the last 256 steps were clipped at 1, no longer more than half"


def test_the_usual_norm_is_the_90th_percentile():
    """Of norms from 1.01 to 3.56, nine of ten are below 3.31."""
    [found] = watched([1 + place / 100 for place in range(1, 257)], max_norm=1.0)
    assert found.words.endswith("90 % of their gradient norms are below 3.31")


def test_a_warmup_is_not_judged():
    """Gradients are large at its start, nearly everywhere."""
    assert watched([2.0] * 300 + [0.5] * 500, max_norm=1.0, warmup_steps=300) == []


@pytest.mark.parametrize("share", [0.1, 0.3, 0.35])
def test_less_than_half_is_left_alone(share):
    """20,000 steps of 10, 30 and 35 % clipped: not a word."""
    assert watched(norms(random.Random(1), clipped=share, steps=20_000), max_norm=1.0) == []


def test_a_share_at_the_limit_is_not_named_over_and_over():
    """Half of 20,000 steps clipped: named once; it takes a real change to take that back."""
    found = watched(norms(random.Random(2), clipped=0.5, steps=20_000), max_norm=1.0)
    assert [remark.code for remark in found] == ["clipping-much"]


def test_the_percentile_is_one_of_the_norms():
    """Nine of ten are not above it."""
    window = Window(10)
    for value in range(1, 101):
        window.add(value)
    assert window.quantile(0.9) == 99
    assert window.values == tuple(range(91, 101))


def test_norms_that_nobody_knows_are_said_once():
    """DeepSpeed at stage 0 in fp32 clips and keeps no norm; without clipping nobody asks."""
    found = watched([None] * 50, max_norm=1.0)
    assert [(remark.step, remark.code) for remark in found] == [(1, "norm-unknown")]
    assert "DeepSpeed at stage 0 in fp32" in found[0].words
    assert watched([None] * 50) == watched([5.0] * 500) == []


def test_a_loss_that_is_no_number_is_counted():
    """The first of each row is named; how many end the run is for others to say."""
    stability = Stability()
    losses = [1.0, math.nan, math.nan, 1.0, math.inf, 1.0]
    found = [
        remark
        for step, loss in enumerate(losses, 1)
        for remark in stability.stepped(step, loss=loss, norm=None, skipped=False)
    ]
    assert found == [
        Remark(2, "loss-nonfinite", "the loss is nan, for the 1st time in this run"),
        Remark(5, "loss-nonfinite", "the loss is inf, for the 3rd time in this run"),
    ]


def skips(flags):
    stability = Stability()
    return [
        remark
        for step, skipped in enumerate(flags, 1)
        for remark in stability.stepped(step, loss=math.inf if skipped else 1.0, norm=None, skipped=skipped)
    ]


def test_a_scaler_that_searches_is_left_alone():
    """At the start it skips until it fits, later once in a thousand steps; a tenth of the steps is something else."""
    assert skips([True] * 34 + [False] * 5000) == []
    assert skips([step % 1000 == 999 for step in range(20_000)]) == []
    found = skips([False] * 500 + [step % 10 == 0 for step in range(500)])
    assert [(remark.step, remark.code) for remark in found] == [(591, "steps-left-out")]
    assert (
        found[0].words == "10 of the last 200 steps were left out: gradients overflow more than now and then"
    )


def evaluated(pairs, *, every=50):
    """Training losses and a validation at the end of each stretch of them: what is derived, what is said."""
    stability, derived, found = Stability(), [], []
    for place, (training, values) in enumerate(pairs, 1):
        for offset in range(every):
            step = (place - 1) * every + offset + 1
            list(stability.stepped(step, loss=training(offset), norm=None, skipped=False))
        more, said = stability.evaluated(place * every, values)
        derived.append(more)
        found += said
    return derived, found


def noisy(rng, level, size=0.02):
    return lambda _: level + size * rng.gauss(0, 1)


def test_the_gap_is_logged_beside_what_the_script_reports():
    """Against the training loss at that moment, not one that lies behind a falling curve."""
    derived, _ = evaluated([(lambda offset: 4 - offset / 100, {"validation_loss": 3.6})])
    [found] = derived
    assert found["training_loss"] == pytest.approx(3.5, abs=0.02)
    assert found["gap"] == pytest.approx(0.1, abs=0.02)


def test_a_scripts_own_training_loss_comes_first():
    """It may be measured without dropout, or on other samples."""
    values = {
        "validation_loss": 2.0,
        "training_loss": 1.5,
        "training_accuracy": 0.9,
        "validation_accuracy": 0.8,
    }
    [found], _ = evaluated([(lambda _: 3.0, values)])
    assert found == {"gap": 0.5, "accuracy_gap": pytest.approx(0.1)}


def test_a_validation_without_steps_has_no_gap():
    """Before the first steps there is nothing to compare with; other numbers have none at all."""
    assert Stability().evaluated(0, {"validation_loss": 2.0}) == ({}, ())
    assert Stability().evaluated(0, {"learned": 2.0}) == ({}, ())


def test_a_training_that_is_learned_by_heart_is_named():
    """Training falls on, validation turns: first the gap is named, then that validation is worse."""
    rng = random.Random(3)
    pairs = []
    for place in range(40):
        training = 3.0 * 0.95**place
        validation = max(training, 1.0) + 0.03 * max(0, place - 25) + 0.01 * rng.gauss(0, 1)
        accuracy = 0.7 - 0.02 * max(0, place - 25) + 0.003 * rng.gauss(0, 1)
        values = {"validation_loss": validation, "validation_accuracy": accuracy}
        pairs.append((noisy(rng, training), values))
    _, found = evaluated(pairs)
    first = {remark.code: remark.step // 50 for remark in reversed(found)}
    assert set(first) == {"gap-wider", "validation-worse", "accuracy-worse"}
    assert 23 < first["gap-wider"] < first["validation-worse"] <= 38
    assert 27 < first["accuracy-worse"] <= 38
    words = next(remark.words for remark in found if remark.code == "validation-worse")
    assert words.endswith(": worse 3 times in a row")


@pytest.mark.parametrize("scatter", [0.001, 0.01, 0.05])
def test_validation_that_scatters_is_left_alone(scatter):
    """800 evaluations of trainings that fall and then stand: one remark at most, at each of three scatters."""
    found = []
    for seed in range(4):
        rng = random.Random(seed)
        pairs = []
        for place in range(200):
            level = 2 + 2 * 0.97**place
            values = {
                "validation_loss": level + 0.1 + scatter * rng.gauss(0, 1),
                "validation_accuracy": 0.7 - level / 10 + scatter / 5 * rng.gauss(0, 1),
            }
            pairs.append((noisy(rng, level, 0.05), values))
        found += evaluated(pairs)[1]
    assert len(found) <= 1, found


def test_a_gap_that_closes_from_below_is_none():
    """With dropout training loss is above validation for long; that it comes closer is no widening."""
    rng = random.Random(4)
    pairs = [(noisy(rng, 2.0), {"validation_loss": 1.2 + 0.02 * place}) for place in range(38)]
    assert [remark for remark in evaluated(pairs)[1] if remark.code == "gap-wider"] == []


def test_the_middle_and_the_spread():
    """Of 1 to 9 and a million: neither sees the million."""
    values = [*range(1, 10), 1e6]
    assert median(values) == 5.5
    assert spread(values) == pytest.approx(SIGMA * 2.5)
    rng = random.Random(6)
    assert spread([rng.gauss(3, 0.5) for _ in range(20_000)]) == pytest.approx(0.5, rel=0.02)


def test_a_remark_as_it_is_shown_and_kept():
    """One line for a person, one object for a program."""
    remark = Remark(1310, "loss-spike", "the loss has jumped")
    assert remark.line() == "remark  step 1,310: the loss has jumped [loss-spike]"
    assert remark.entry() == {"step": 1310, "code": "loss-spike", "words": "the loss has jumped"}
