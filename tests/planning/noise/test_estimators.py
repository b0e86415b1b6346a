"""Signal and noise from two squared norms: on drawn gradients of a known noise, and as others write the formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.noise.estimators import Squares, squares_of_groups

SIZE = 24  # numbers in a drawn gradient
SIGNAL, TRACE = 1.0, 6.0
DRAWS = 40_000

numbers = st.floats(0.01, 100)


def test_inversion_of_a_chosen_noise():
    """|G|^2 = 1 and a trace of 128 make S = 3 at b = 64 and P = 1.25 at B = 512, and come back [our own algebra]."""
    found = Squares(small=3.0, big=1.25, small_size=64, big_size=512)
    assert found.gradient_square == pytest.approx(1.0, rel=1e-12)
    assert found.trace == pytest.approx(128.0, rel=1e-12)


@given(small=numbers, big=numbers, sizes=st.tuples(st.integers(1, 50), st.integers(51, 500)))
def test_the_formulas_of_two_sizes(small, big, sizes):
    """With equal weights they are those of arXiv:1812.06162 appendix A, GPT-NeoX@ea7aefd8 and nanoGNS@b3b0c9c."""
    b, whole = sizes
    found = Squares(small=small, big=big, small_size=b, big_size=whole)
    scale = max(small, big)
    assert found.gradient_square == pytest.approx((whole * big - b * small) / (whole - b), abs=1e-9 * scale)
    assert found.trace == pytest.approx((small - big) / (1 / b - 1 / whole), rel=1e-9, abs=1e-9 * b * scale)


@given(
    squares=st.lists(numbers, min_size=2, max_size=8),
    sizes=st.lists(st.integers(1, 9), min_size=8),
    big=numbers,
)
def test_groups_that_cover_the_batch(squares, sizes, big):
    """(n P - S) / (n - 1) and B (S - P) / (n - 1), with S weighted by sizes: equal groups or not."""
    sizes, n = sizes[: len(squares)], len(squares)
    whole = sum(sizes)
    found = squares_of_groups(squares=squares, sizes=sizes, big=big, big_size=whole)
    small = sum(size * square for size, square in zip(sizes, squares, strict=True)) / whole
    scale = max(*squares, big)
    assert found.gradient_square == pytest.approx((n * big - small) / (n - 1), abs=1e-9 * scale)
    assert found.trace == pytest.approx(whole * (small - big) / (n - 1), abs=1e-9 * whole * scale)


@given(squares=st.lists(numbers, min_size=2, max_size=8), big=numbers, scale=st.integers(1, 64))
def test_the_form_of_adascale(squares, big, scale):
    """fairscale@146f1602 optim/adascale.py: var and sqr of the n gradients of an effective batch `scale` times larger."""
    n = len(squares)
    var = scale / n * sum(squares) / (n - 1) - big * scale / (n - 1)
    sqr = big - var / scale
    found = squares_of_groups(squares=squares, sizes=[1] * n, big=big, big_size=n)
    assert found.gradient_square == pytest.approx(sqr, abs=1e-9 * max(*squares, big))
    assert found.trace == pytest.approx(n * var / scale, abs=1e-9 * n * max(*squares, big))


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=6))
def test_two_groups_are_a_product(pairs):
    """Two equal groups: |G|^2 is the product of their gradients."""
    first, second = zip(*pairs, strict=True)
    squares = [sum(x * x for x in group) for group in (first, second)]
    big = sum(((x + y) / 2) ** 2 for x, y in pairs)
    found = squares_of_groups(squares=squares, sizes=[3, 3], big=big, big_size=6)
    assert found.gradient_square == pytest.approx(sum(x * y for x, y in pairs), abs=1e-9 * (1 + sum(squares)))


def test_groups_that_weigh_more_than_their_share():
    """Q is the mean square of tokens per sequence over the batch's, by sequences: 2 of 2 tokens and 3 of 3 in 10 of 2.4."""
    found = squares_of_groups(
        squares=[1.0, 2.0], sizes=[2, 3], big=0.5, big_size=10, weights=[4, 9], total_weight=24
    )
    assert found.weight_square == pytest.approx((2 * 2.0**2 + 3 * 3.0**2) / 5 / 2.4**2)
    assert found.small == pytest.approx(1.6)
    assert found.small_size == 2.5
    assert found.information == pytest.approx(1 - found.weight_square / 4)


def drawn(*, groups, whole, weights, correlation, seed):
    """Means over many batches of signal, noise, information and the batch's own trace.

    groups: sequences of each. weights: None, or the largest of weights drawn from 1 to it. correlation: 0 where a
    sequence's tokens are independent, 1 where they are one.
    """
    import torch

    source = torch.Generator().manual_seed(seed)
    truth = torch.full((SIZE,), (SIGNAL / SIZE) ** 0.5)
    weigh = torch.ones(DRAWS, whole)
    if weights:
        weigh = torch.randint(1, weights + 1, (DRAWS, whole), generator=source).float()
    own = (
        correlation * weigh**2 + (1 - correlation) * weigh
    ) * TRACE  # expected square of a sequence's noise
    noise = torch.randn(DRAWS, whole, SIZE, generator=source) * (own / SIZE).sqrt()[..., None]
    summed = weigh[..., None] * truth + noise
    total = weigh.sum(1)
    big = (summed.sum(1) / total[:, None]).square().sum(1)
    starts = [sum(groups[:at]) for at in range(len(groups))]
    parts = [summed[:, at : at + size].sum(1) for at, size in zip(starts, groups, strict=True)]
    group_weights = [weigh[:, at : at + size].sum(1) for at, size in zip(starts, groups, strict=True)]
    covered = sum(groups)
    small = evenness = 0
    for part, weight, size in zip(parts, group_weights, groups, strict=True):
        small = small + size * (whole / size * part / total[:, None]).square().sum(1) / covered
        evenness = evenness + size * (weight / size * whole / total).square() / covered
    found = Squares(
        small=small.double(),
        big=big.double(),
        small_size=covered / len(groups),
        big_size=whole,
        weight_square=evenness.double() if weights else 1.0,
    )
    traces = whole * own.sum(1) / total**2
    information = torch.as_tensor(found.information).double() * torch.ones(DRAWS)
    return {
        "signal": float(found.signal.mean() / information.mean()),
        "noise": float(found.noise.mean() / information.mean()),
        "trace": float((traces.double() * information).mean() / information.mean()),
    }


CASES = {
    "two ranks": {"groups": (6, 6), "whole": 12},
    "equal micro-batches": {"groups": (2, 2, 2, 2), "whole": 8},
    "unequal micro-batches": {"groups": (4, 3, 1), "whole": 8},
    "the first micro-batch of one rank": {"groups": (2,), "whole": 8},
    "the first micro-batch of three ranks, nested": {"groups": (2, 2, 1), "whole": 11},
    "all but the last micro-batch": {"groups": (6, 6), "whole": 16},
    "ranks with idle slots": {"groups": (5, 4), "whole": 9},
}


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("weights", "correlation"), [(None, 0), (8, 0), (8, 1)], ids=["equal", "tokens", "correlated tokens"]
)
def test_a_known_noise_comes_back(case, weights, correlation):
    """Drawn gradients: signal and noise without bias, to 1 %, however the batch is cut and however tokens weigh."""
    found = drawn(**case, weights=weights, correlation=correlation, seed=3)
    assert found["signal"] == pytest.approx(SIGNAL, rel=0.01)
    assert found["noise"] == pytest.approx(found["trace"], rel=0.01)
    if weights is None:
        assert found["trace"] == pytest.approx(TRACE)


@pytest.mark.torch
def test_a_group_scaled_by_its_own_weight_is_biased():
    """Dividing a small group by its own tokens instead of its sequences puts part of the noise into the signal."""
    import torch

    source = torch.Generator().manual_seed(5)
    weigh = torch.randint(1, 9, (DRAWS, 8), generator=source).double()
    noise = (
        torch.randn(DRAWS, 8, SIZE, generator=source).double() * (weigh * (TRACE / SIZE) ** 0.5)[..., None]
    )
    summed = weigh[..., None] * (SIGNAL / SIZE) ** 0.5 + noise
    big = (summed.sum(1) / weigh.sum(1)[:, None]).square().sum(1).mean()
    own = (summed[:, :2].sum(1) / weigh[:, :2].sum(1)[:, None]).square().sum(1).mean()
    found = Squares(small=float(own), big=float(big), small_size=2, big_size=8)
    assert abs(found.gradient_square - SIGNAL) > 0.03 * SIGNAL
