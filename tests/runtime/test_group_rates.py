"""The plan's rate on parameter groups that have rates of their own."""

from __future__ import annotations

import pytest

from launcher.errors import WorldError
from launcher.runtime.group_rates import GroupRates, group_rates_of


def groups(*rates):
    return [{"lr": rate} for rate in rates]


def rates_after(given, *, peak, learning_rate):
    found = groups(*given)
    GroupRates(peak=peak).apply(found, learning_rate=learning_rate)
    return [group["lr"] for group in found]


def test_groups_that_are_alike_follow_the_plan():
    """Whatever a single rate was, it becomes the plan's, to the last bit."""
    assert rates_after([1e-3, 1e-3], peak=3e-3, learning_rate=1 / 3) == [1 / 3, 1 / 3]


def test_groups_that_differ_keep_their_ratio():
    """A group built with the peak gets the plan's rate, the others stay in proportion."""
    assert rates_after([3e-3, 3e-4, 0.0], peak=3e-3, learning_rate=1e-3) == pytest.approx([1e-3, 1e-4, 0.0])


def test_the_ratio_is_taken_once():
    """Steps do not compound: the second rate is as exact as the first."""
    found, rates = groups(2.0, 1.0), GroupRates(peak=2.0)
    for learning_rate in (0.5, 0.25, 1.0):
        rates.apply(found, learning_rate=learning_rate)
        assert [group["lr"] for group in found] == [learning_rate, learning_rate / 2]


def test_factors_survive_a_checkpoint():
    """A resumed optimizer holds decayed rates; the factors come from the run's state."""
    before = GroupRates(peak=2.0)
    before.apply(groups(2.0, 1.0), learning_rate=0.1)
    after, found = GroupRates(peak=2.0, factors=before.factors), groups(0.1, 0.05)
    after.apply(found, learning_rate=0.2)
    assert [group["lr"] for group in found] == [0.2, 0.1]


def test_groups_without_the_peak_are_not_guessed_at(message):
    """Which of two rates is the plan's cannot be known."""
    with pytest.raises(WorldError) as error:
        rates_after([1e-3, 1e-4], peak=3e-3, learning_rate=1e-3)
    message("learning-rate-differs", error.value)


SCALED = {
    "global_batch_size": 36,
    "data": {"num_samples": 72},
    "optimizer": {
        "name": "sgd",
        "learning_rate": None,
        "reference_learning_rate": 0.1,
        "reference_batch_size": 12,
    },
}
"""Peak 0.3, x3 by the linear rule; on 4 ranks, micro 3 x accumulation 3."""


def built_with(plan, *rates):
    """What a run's first step does to an optimizer built with these rates."""
    found = groups(*rates)
    group_rates_of(plan).apply(found, learning_rate=0.01)
    return [group["lr"] for group in found]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (4, "multiplies by the number of processes"),
        (2, "multiplies by the square root of the number of processes"),
        (3, "scales by the linear rule what the plan has scaled"),
    ],
)
def test_a_rate_that_is_scaled_twice_is_refused(plan_of, times, words):
    """The script has multiplied the planned peak: by the processes, by their root, or by the plan's own factor."""
    plan = plan_of(ranks=4, **SCALED)
    found = groups(0.3 * times)
    with pytest.raises(WorldError) as error:
        group_rates_of(plan).apply(found, learning_rate=0.01)
    (problem,) = error.value.problems
    assert problem.code == "learning-rate-scaled-twice"
    assert words in problem.message
    assert found == groups(0.3 * times)  # refused before anything is touched


def test_scaled_twice_in_whole_words(plan_of, message):
    """Planned, found, the factor and whose habit it is."""
    with pytest.raises(WorldError) as error:
        built_with(plan_of(ranks=4, **SCALED), 1.2)
    message("learning-rate-scaled-twice", error.value)


def test_a_written_rate_times_the_processes_is_refused(plan_of):
    """Accelerate's guide multiplies by num_processes; the planned rate is for the whole batch already."""
    plan = plan_of(ranks=2, optimizer={"learning_rate": 0.1})
    with pytest.raises(WorldError, match="learning-rate-scaled-twice"):
        built_with(plan, 0.2, 0.2)


@pytest.mark.parametrize("rate", [0.3, 0.1, 1e-3, 0.7, 0.3 * 36])
def test_any_other_single_rate_follows_the_plan(plan_of, rate):
    """The peak, the reference rate, a library's default: one rate says nothing, and becomes the plan's."""
    assert built_with(plan_of(ranks=4, **SCALED), rate, rate) == [0.01, 0.01]


def test_a_group_with_the_peak_explains_the_others(plan_of):
    """A head at four times the encoder's rate on 4 ranks is no second scaling: the encoder has the peak."""
    assert built_with(plan_of(ranks=4, **SCALED), 0.3, 1.2) == pytest.approx([0.01, 0.04])


def test_groups_that_differ_and_are_scaled_twice(plan_of):
    """Without a group at the peak, the one at a multiple of it is named."""
    with pytest.raises(WorldError, match="the number of processes"):
        built_with(plan_of(ranks=4, **SCALED), 1.2, 0.12)


def test_groups_around_the_reference_rate_are_told_so(plan_of):
    """The script builds its groups from the rate that the plan has scaled."""
    with pytest.raises(WorldError) as error:
        built_with(plan_of(ranks=4, **SCALED), 0.1, 0.01)
    (problem,) = error.value.problems
    assert problem.code == "learning-rate-differs"
    assert problem.because == ("0.1 is the reference learning rate",)


def test_a_run_that_goes_on_is_not_suspected(plan_of):
    """A restored optimizer holds the rate of its last step, whatever that is of the peak."""
    plan = plan_of(ranks=4, **SCALED)
    found = groups(1.2)
    group_rates_of(plan).going_on().apply(found, learning_rate=0.05)
    assert found == groups(0.05)


@pytest.mark.torch
def test_a_rate_that_is_a_tensor_stays_that_tensor():
    """Compiled optimizers hold on to the tensor they were given."""
    import torch

    rate = torch.tensor(1.0)
    GroupRates(peak=1.0).apply([{"lr": rate}], learning_rate=0.25)
    assert rate.item() == 0.25
