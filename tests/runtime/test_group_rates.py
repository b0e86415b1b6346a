"""The plan's rate on parameter groups that have rates of their own."""

from __future__ import annotations

import pytest

from launcher.errors import WorldError
from launcher.runtime.group_rates import GroupRates


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


@pytest.mark.torch
def test_a_rate_that_is_a_tensor_stays_that_tensor():
    """Compiled optimizers hold on to the tensor they were given."""
    import torch

    rate = torch.tensor(1.0)
    GroupRates(peak=1.0).apply([{"lr": rate}], learning_rate=0.25)
    assert rate.item() == 0.25
