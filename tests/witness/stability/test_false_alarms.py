"""Trainings in which nothing happens are left alone; what happens is named, and where."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from losses_drawn import CURVES, NOISES, drawn

from batchwright_witness.stability.watching import Stability

LEVELS = (0.003, 0.02, 0.1, 0.3)


def remarks(losses, **options):
    stability = Stability(**options)
    return [
        remark
        for step, loss in enumerate(losses, 1)
        for remark in stability.stepped(step, loss=loss, norm=None, skipped=False)
    ]


@pytest.mark.parametrize("noise", ["gaussian", "laplace", "half correlated"])
def test_a_quiet_training_has_no_remark(noise):
    """80,000 steps of falling and flat curves at four levels of noise: not a word."""
    for curve in CURVES:
        for level in LEVELS:
            assert remarks(drawn(curve, noise, level=level, steps=5000, seed=7)) == [], (curve, level)


@pytest.mark.parametrize("noise", ["correlated", "student"])
def test_a_rough_one_has_few(noise):
    """Noise that wanders, or that has heavy tails: at most one event in 10,000 steps, over 160,000."""
    found = Counter()
    for curve in CURVES:
        for level in LEVELS:
            found.update(
                remark.code
                for remark in remarks(drawn(curve, noise, level=level, steps=10_000, seed=11))
                if remark.code != "loss-spike-over"
            )
    assert sum(found.values()) <= 16


def planted(losses, *, at, length, factor):
    return [loss * (factor if at <= step < at + length else 1.0) for step, loss in enumerate(losses, 1)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level", [0.003, 0.02, 0.05])
def test_a_jump_is_named_where_it_begins(level, seed):
    """Ten deviations (8 % at least: the curve still falls) over three steps are found at the first, and their end too."""
    losses = drawn("power", "gaussian", level=level, steps=1200, seed=seed)
    found = remarks(planted(losses, at=900, length=3, factor=math.exp(max(10 * level, 0.08))))
    assert [(remark.step, remark.code) for remark in found] == [(900, "loss-spike"), (905, "loss-spike-over")]
    assert "after 3 steps" in found[1].words


@pytest.mark.parametrize("seed", range(10))
def test_one_step_alone_must_stand_out_more(seed):
    """A batch of 15 % more loss is passed over, one of 60 % is named although the next is well again."""
    losses = drawn("power", "gaussian", level=0.02, steps=800, seed=seed)
    assert remarks(planted(losses, at=500, length=1, factor=1.15)) == []
    found = remarks(planted(losses, at=500, length=1, factor=1.6))
    assert [remark.code for remark in found] == ["loss-spike", "loss-spike-over"]


def test_two_jumps_are_two():
    """The second is held against the training, not against the first."""
    losses = planted(drawn("power", "gaussian", level=0.02, steps=900, seed=3), at=310, length=10, factor=1.5)
    found = remarks(planted(losses, at=390, length=10, factor=1.5))
    assert [remark.step for remark in found if remark.code == "loss-spike"] == [310, 390]


def test_a_loss_may_be_below_zero():
    """Log-likelihoods of densities and rewards have no logarithm."""
    rng = random.Random(5)
    quiet = [-2.0 + 0.1 * rng.gauss(0, 1) for _ in range(3000)]
    assert remarks(quiet) == []
    found = remarks([*quiet, -0.5, -0.4, -0.6, *quiet[:20]])
    assert [(remark.step, remark.code) for remark in found] == [
        (3001, "loss-spike"),
        (3006, "loss-spike-over"),
    ]


def test_a_constant_loss_has_no_spread():
    """Nor does it divide by it."""
    assert remarks([1.0] * 500) == []
    assert [remark.code for remark in remarks([1.0] * 500 + [1.5, 1.5])] == ["loss-spike"]


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_rise_is_named(seed):
    """Five thousandths a step in 100, each within the noise: named before the loss has risen by a tenth."""
    losses = drawn("flat", "gaussian", level=0.03, steps=2000, seed=seed)
    found = remarks([loss * 1.0002 ** max(0, step - 1000) for step, loss in enumerate(losses, 1)])
    rising = [remark for remark in found if remark.code == "loss-rising"]
    assert rising
    assert 1100 < rising[0].step < 1500
    assert {remark.code for remark in found} == {"loss-rising"}


def test_the_first_stretches_of_a_run_are_left_alone():
    """Five of them tell little of how far they scatter: 300 short runs in noise of 30 % have no remark."""
    for seed in range(300):
        assert remarks(drawn("flat", "gaussian", level=0.3, steps=600, seed=seed)) == [], seed


def test_noise_that_grows_is_followed():
    """A batch an eighth as large scatters more: some steps are named, then it is what is usual."""
    quiet = drawn("flat", "gaussian", level=0.01, steps=1000, seed=2)
    rough = drawn("flat", "gaussian", level=0.08, steps=4000, seed=3)
    found = [remark.step for remark in remarks([*quiet, *rough]) if remark.code == "loss-spike"]
    assert len(found) <= 3
    assert all(step < 1130 for step in found)


def test_another_stage_is_looked_at_afresh():
    """Where batch or length change, the loss may."""
    stability = Stability()
    found = []
    for step, loss in enumerate(drawn("flat", "gaussian", level=0.02, steps=600, seed=4), 1):
        if step == 301:
            stability.begins_stage()
        raised = loss * (1.5 if step > 300 else 1)
        found += stability.stepped(step, loss=raised, norm=None, skipped=False)
    assert found == []


def test_every_kind_of_noise_is_tried():
    """The two lists above are all there are."""
    assert set(NOISES) == {"gaussian", "laplace", "half correlated", "correlated", "student"}
