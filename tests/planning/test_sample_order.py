"""The order of samples: a permutation per epoch, from seed, epoch and place alone."""

import statistics
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.sample_order import sample_index


def epoch_of(num_samples: int, *, seed: int = 0, epoch: int = 0) -> list[int]:
    start = epoch * num_samples
    return [
        sample_index(seed=seed, position=start + place, num_samples=num_samples)
        for place in range(num_samples)
    ]


@given(num_samples=st.integers(1, 700), seed=st.integers(0, 2**70), epoch=st.integers(0, 10**6))
def test_every_epoch_is_a_permutation(num_samples, seed, epoch):
    """Each sample comes exactly once."""
    assert sorted(epoch_of(num_samples, seed=seed, epoch=epoch)) == list(range(num_samples))


@pytest.mark.parametrize("num_samples", [2**20 - 1, 2**20, 2**20 + 1, 36_621_093])
def test_large_epochs_stay_in_range_without_repeats(num_samples):
    """A slice of an epoch holds distinct numbers of it, without any table."""
    found = [sample_index(seed=7, position=place, num_samples=num_samples) for place in range(2000)]
    assert len(set(found)) == 2000
    assert all(0 <= index < num_samples for index in found)


def test_seeds_and_epochs_differ():
    """Neither the next epoch nor the next seed repeats an order, and (seed 1, epoch 0) is not (seed 0, epoch 1)."""
    orders = {
        (seed, epoch): tuple(epoch_of(64, seed=seed, epoch=epoch)) for seed in range(8) for epoch in range(8)
    }
    assert len(set(orders.values())) == 64


def test_the_order_is_fixed_for_ever():
    """A checkpoint written today resumes into the same order: these numbers may never change."""
    assert epoch_of(10, seed=0) == [5, 2, 8, 6, 0, 4, 9, 7, 1, 3]
    assert [sample_index(seed=42, position=p, num_samples=1000) for p in (0, 999, 1000)] == [891, 375, 711]
    large = [
        sample_index(seed=2**40, position=p, num_samples=36_621_093) for p in (0, 36_621_092, 36_621_093)
    ]
    assert large == [28850732, 9517849, 17209497]


def test_every_sample_is_as_likely_at_every_place():
    """Over 3000 seeds each of 12 samples stands at each of 12 places about 250 times: within five deviations."""
    seen = Counter(
        (place, index) for seed in range(3000) for place, index in enumerate(epoch_of(12, seed=seed))
    )
    expected = 3000 / 12
    deviation = (expected * (1 - 1 / 12)) ** 0.5
    assert len(seen) == 12 * 12
    assert max(abs(count - expected) for count in seen.values()) < 5 * deviation


def test_neighbours_do_not_stay_neighbours():
    """Consecutive places are as far apart as random ones: a third of the data on average."""
    order = epoch_of(5000, seed=3)
    gaps = [abs(a - b) for a, b in pairwise(order)]
    assert statistics.mean(gaps) == pytest.approx(5000 / 3, rel=0.05)


@given(start=st.integers(0, 3000), length=st.integers(1, 50), num_samples=st.integers(1, 97))
def test_a_place_needs_nothing_before_it(start, length, num_samples):
    """The stream read from the middle is the middle of the stream, across epochs."""
    whole = [
        index
        for epoch in range(start // num_samples, (start + length) // num_samples + 1)
        for index in epoch_of(num_samples, seed=5, epoch=epoch)
    ]
    first = start // num_samples * num_samples
    found = [
        sample_index(seed=5, position=place, num_samples=num_samples)
        for place in range(start, start + length)
    ]
    assert found == whole[start - first : start - first + length]
