"""Two means, their ratio and its interval: how they are corrected, how often they hold the truth, when they are silent."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from statistics import median

import pytest

from launcher.planning.noise.estimators import Squares
from launcher.planning.noise.moments import FEWEST, Moments

SIGNAL, TRACE = 1.0, 160.0  # a noise scale of 160 sequences
SMALL, BIG = 8, 64


def drawn(source, *, signal=SIGNAL, trace=TRACE, freedom=40):
    """Squares of one step whose big batch holds the small one; noise of `freedom` numbers."""
    root = (signal / freedom) ** 0.5
    per = (trace / freedom) ** 0.5
    small = big = 0.0
    for _ in range(freedom):
        first, rest = source.gauss(0, 1), source.gauss(0, 1)
        small += (root + per * first / SMALL**0.5) ** 2
        big += (root + per * (first * SMALL**0.5 + rest * (BIG - SMALL) ** 0.5) / BIG) ** 2
    return Squares(small=small, big=big, small_size=SMALL, big_size=BIG)


def after(steps, *, seed=1, decay=0.99, **truth):
    source, moments = random.Random(seed), Moments(decay=decay)
    for _ in range(steps):
        moments = moments.after(drawn(source, **truth))
    return moments


def test_one_measurement_is_told_as_it_is():
    """The bias of a mean that starts at zero goes by its updates: after the first one both parts are its own."""
    squares = Squares(small=3.0, big=1.25, small_size=64, big_size=512)
    moments = Moments(decay=0.99).after(squares)
    assert moments.gradient_square == pytest.approx(1.0)
    assert moments.trace == pytest.approx(128.0)
    assert moments.ratio == pytest.approx(128.0)


def test_means_decay_by_measurement():
    """Three measurements weigh 1, d, d^2, whatever lay between them, and batches may differ in size."""
    sizes = [(3.0, 1.25, 64, 512), (4.0, 2.0, 8, 32), (9.0, 1.0, 2, 64)]
    moments, signal, noise = Moments(decay=0.5), 0.0, 0.0
    for each in sizes:
        squares = Squares(*each)
        moments = moments.after(squares)
        signal, noise = 0.5 * signal + squares.signal, 0.5 * noise + squares.noise
    assert moments.ratio == pytest.approx(noise / signal)
    assert moments.count == 3
    assert moments.effective_count == pytest.approx((1 + 0.5 + 0.25) ** 2 / (1 + 0.25 + 0.0625))


def test_the_interval_holds_the_truth():
    """Of 300 runs of 300 steps the 95 % interval of 92 to 98 % holds the noise scale that they were drawn with."""
    held = 0
    for seed in range(300):
        low, high = after(300, seed=seed).interval()
        held += low <= TRACE / SIGNAL <= high
    assert 0.92 <= held / 300 <= 0.98


def test_the_ratio_of_means_and_not_the_mean_of_ratios():
    """Signals of single steps are often negative: their ratios say nothing, the ratio of means is near the truth."""
    source = random.Random(2)
    steps = [drawn(source) for _ in range(400)]
    ratios = [each.noise / each.signal for each in steps]
    moments = Moments(decay=0.99)
    for each in steps:
        moments = moments.after(each)
    assert min(ratios) < 0
    assert moments.ratio == pytest.approx(160, rel=0.25)
    assert abs(median(ratios) - 160) > 2 * abs(moments.ratio - 160)


def test_a_signal_that_may_be_zero_is_not_resolved():
    """Without signal there is no interval, nothing is cut off to make one, and the words say so."""
    moments = after(400, signal=0.0)
    assert moments.interval() is None
    assert moments.unresolved() == "the signal is not told from zero"
    negative = Moments(decay=0.99).after(Squares(small=9.0, big=1.0, small_size=8, big_size=64))
    assert negative.signal < 0
    assert negative.ratio is None


def test_few_measurements_say_nothing():
    """Below 200 the number is there, and is called unresolved."""
    moments = after(FEWEST - 1)
    assert moments.ratio is not None
    assert moments.unresolved() == "199 of 200 measurements"
    assert after(0).interval() is None
    assert after(1).interval() is None
    assert after(0).gradient_square is after(0).trace is None


def test_a_wide_interval_says_nothing():
    """At twice the lower end and beyond the interval is printed instead of a band."""
    words = after(260, trace=400.0).unresolved()
    assert words.startswith("its 95 % interval, ")
    assert words.endswith("is wider than 2 times")
    assert after(400).unresolved() is None


def test_noise_that_may_be_zero_is_not_resolved():
    """Equal gradients in every micro-batch: no batch is too large to average over, and the words say so."""
    moments = Moments(decay=0.99)
    for step in range(300):
        moments = moments.after(Squares(1.0 + 0.1 * (-1) ** step, 1.0, SMALL, BIG))
    assert moments.unresolved() == "the noise is not told from zero"


def test_the_interval_narrows():
    """More measurements, a narrower interval, until the mean forgets as fast as it learns."""
    widths = []
    for steps in (50, 100, 200, 800):
        low, high = after(steps, decay=0.995, seed=4).interval()
        widths.append(high / low)
    assert all(late < early for early, late in pairwise(widths))


def test_the_state_goes_through_json():
    """A checkpoint keeps every mean to the last bit."""
    moments = after(30)
    assert Moments.of_state(json.loads(json.dumps(moments.state()))) == moments
