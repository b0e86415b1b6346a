"""What batches cost by a noise scale, and the critical batches that others published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.noise.band import cost_of, legal_size, noise_band, twenty_percent_batch
from launcher.planning.noise.estimators import Squares
from launcher.planning.noise.moments import Moments

sizes = st.integers(1, 10**7)


@given(size=sizes, critical=st.floats(0.1, 1e7))
def test_steps_and_data_are_one_hyperbola(size, critical):
    """(S / S_min - 1) (E / E_min - 1) = 1, arXiv:1812.06162 equation 2.11, and speed and data say the same."""
    cost = cost_of(global_batch_size=size, critical_batch=critical)
    assert (cost.steps - 1) * (cost.data - 1) == pytest.approx(1, rel=1e-6)
    assert cost.extra_data == pytest.approx(size / critical, rel=1e-6, abs=1e-12)
    assert cost.speed == pytest.approx(1 / (1 + critical / size))
    # E / S is the batch: data and steps are tied by what a step takes
    assert cost.data / cost.steps == pytest.approx(size / critical, rel=1e-6)


def test_at_the_critical_batch():
    """Twice the steps of an endless batch, twice the data of the smallest."""
    cost = cost_of(global_batch_size=512, critical_batch=512)
    assert (cost.steps, cost.data, cost.extra_data, cost.speed) == (2, 2, 1, 0.5)


def test_the_worked_example_of_nanogns():
    """G^2 = 0.9331 and a trace of 20.4898 are 21.9588 sequences; the README prints 21.9598.

    Source: CerebrasResearch/nanoGNS@b3b0c9c README.
    """
    scale = 20.4898 / 0.9331
    assert scale == pytest.approx(21.9588, abs=1e-4)
    b, whole = 1, 64
    squares = Squares(0.9331 + 20.4898 / b, 0.9331 + 20.4898 / whole, b, whole)
    moments = Moments(decay=0.99).after(squares)
    assert moments.ratio == pytest.approx(21.9588, abs=1e-4)
    band = noise_band(noise_scale=moments.ratio, multiple=4)
    found = [each.global_batch_size for each in (band.efficient, band.balanced, band.no_benefit)]
    assert found == [4, 20, 108]


@given(scale=st.floats(1, 1e6), multiple=st.integers(1, 512))
def test_the_band_is_legal_and_no_larger_than_it_says(scale, multiple):
    """Every batch is a multiple, none above 0.2, 1 and 5 noise scales, but the smallest that there is."""
    band = noise_band(noise_scale=scale, multiple=multiple)
    for factor, cost in ((0.2, band.efficient), (1, band.balanced), (5, band.no_benefit)):
        size = cost.global_batch_size
        assert size % multiple == 0
        assert size == multiple or factor * scale - multiple < size <= factor * scale
    if 0.2 * scale >= multiple:
        assert band.efficient.extra_data <= 0.2 + 1e-9


def test_rounding_down():
    """1000 sequences on 32 ranks of micro-batch 8 are 768; below 256 there is only 256."""
    assert legal_size(1000, multiple=256) == 768
    assert legal_size(3, multiple=256) == 256


PUBLISHED = [
    # model, steps of an endless batch, sequences; batch
    ("85M", 1293.83, 2_834_258, 745.3),
    ("151M", 1752.42, 5_677_479, 955.2),
    ("302M", 2095.35, 11_383_270, 1393.7),
    ("604M", 2459.93, 19_449_689, 1888.5),
    ("1.2B", 3897.31, 43_381_130, 2533.4),
]


@pytest.mark.parametrize(("model", "floor", "slope", "batch"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_the_critical_batches_of_zhang(model, floor, slope, batch):
    """20 % more steps than perfect scaling from 256 sequences of 512 tokens, arXiv:2410.21676.

    Source: hlzhang109/critical-batch-size@c5b509d plots/chinchilla.ipynb.
    """
    found = twenty_percent_batch(floor_steps=floor, slope=slope)
    assert found == pytest.approx(batch, abs=0.1)
    steps = floor + slope / found
    perfect = (floor + slope / 256) * 256 / found
    assert steps == pytest.approx(1.2 * perfect)


def test_samples_to_target_of_mlperf():
    """E = E_min + S_min B through the first two rows of the 405B reference, and what it says of the third.

    Our own algebra on the published rows of mlcommons/logging@7bbf792 rcp_checker, of which the third is 1.9 % off.
    """
    smallest, steps = 258_048, 48.0
    critical = smallest / steps
    cost = cost_of(global_batch_size=4608, critical_batch=critical)
    assert smallest * cost.data == pytest.approx(479_232)
    assert 488_448 / (smallest * cost.data) == pytest.approx(1.019, abs=5e-4)
