"""Batches around a noise scale: legal sizes, and costs that keep the identity between steps and data."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.laws.candidates import FACTORS, candidates, earlier

close = pytest.approx


@given(
    noise=st.floats(0.5, 1e6),
    spread=st.floats(1.01, 2),
    ranks=st.integers(1, 64),
    micro=st.integers(1, 16),
    accumulation=st.integers(1, 64),
)
def test_every_candidate_can_be_dealt(noise, spread, ranks, micro, accumulation):
    """All sizes are multiples of ranks x micro-batch, none above its share of the noise but for the smallest of all."""
    multiple = ranks * micro
    current = multiple * accumulation
    found = candidates(
        noise_scale=noise, low=noise / spread, high=noise * spread, multiple=multiple, current=current
    )
    sizes = [each.global_batch_size for each in found]
    assert sizes == sorted(set(sizes))
    assert current in sizes
    assert sorted(factor for each in found for factor in each.factors) == list(FACTORS)
    for each in found:
        assert each.global_batch_size % multiple == 0
        for factor in each.factors:
            assert each.global_batch_size <= max(multiple, factor * noise)


@given(noise=st.floats(1, 1e5), current=st.integers(1, 100_000))
def test_a_larger_batch_takes_more_data_and_fewer_steps(noise, current):
    """Beside the batch in use (exactly 1 and 1), steps = data x current / batch; the interval's ends are on both sides."""
    found = candidates(noise_scale=noise, low=noise / 1.5, high=noise * 1.5, multiple=1, current=current)
    for before, after in pairwise(found):
        assert before.data < after.data
        assert before.steps > after.steps
    for each in found:
        assert each.steps == close(each.data * current / each.global_batch_size)
        assert each.data_range[0] <= each.data * (1 + 1e-12)
        assert each.data <= each.data_range[1] * (1 + 1e-12)
        if each.global_batch_size == current:
            assert (each.data, each.steps) == (1, 1)


def test_at_the_noise_scale():
    """From an endless noise a batch would cost nothing; from 1 to the noise scale data double and steps halve twice over."""
    (here, *_) = candidates(noise_scale=1000, low=800, high=math.inf, multiple=1, current=1)
    assert here.global_batch_size == 1
    found = {
        each.factors: each
        for each in candidates(noise_scale=1000, low=800, high=math.inf, multiple=1, current=1)
    }
    balanced = found[1.0,]
    assert balanced.global_batch_size == 1000
    assert balanced.data == close(2 / 1.001)
    assert balanced.steps == close(2 / 1001)
    assert balanced.data_range[0] == 1


@given(st.lists(st.booleans(), max_size=60))
def test_earlier_scales(resolved):
    """At most three resolved entries before the last one, in order, the first resolved one among them."""
    entries = [
        {"step": at, "noise_scale": 10.0 + at, "unresolved": None if known else "too wide"}
        for at, known in enumerate(resolved)
    ]
    found = earlier([{"step": -1, "unresolved": "nothing"}, *entries])
    steps = [at for at, known in enumerate(resolved) if known]
    assert len(found) == min(3, max(0, len(steps) - 1))
    assert [step for step, _ in found] == sorted({step for step, _ in found} & set(steps[:-1]))
    assert all(scale == 10.0 + step for step, scale in found)
    if found:
        assert found[0][0] == steps[0]
