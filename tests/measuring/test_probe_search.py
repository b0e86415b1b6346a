"""The search for the largest micro-batch: the right answer, after few trials."""

import math

from hypothesis import given
from hypothesis import strategies as st

from launcher.measuring.probe_search import largest_fitting, next_size
from launcher.planning.divisors import divisors


def searched(*, sequences, largest, start):
    """Sizes tried in their order, and the answer, where everything up to `largest` fits."""
    sizes, known = divisors(sequences), {}
    while (size := next_size(sizes=sizes, start=start, known=known)) is not None:
        assert size in sizes
        assert size not in known
        known[size] = size <= largest
    return list(known), largest_fitting(known)


@given(sequences=st.integers(1, 5040), largest=st.integers(0, 6000), start=st.integers(0, 6000))
def test_the_answer_is_the_largest_divisor_that_fits(sequences, largest, start):
    """Whatever the first guess, the largest divisor up to the limit is found, none where not even 1 fits."""
    fitting = [size for size in divisors(sequences) if size <= largest]
    tried, answer = searched(sequences=sequences, largest=largest, start=start)
    assert answer == (fitting[-1] if fitting else None)
    assert len(tried) <= 2 * math.log2(len(divisors(sequences)) + 1) + 2


def test_a_good_guess_costs_two_trials():
    """Where the memory model is right, the size and the next larger one are tried and nothing else."""
    assert searched(sequences=64, largest=8, start=8) == ([8, 16], 8)


def test_a_whole_share_that_fits_costs_one():
    """There is nothing larger than the rank's sequences."""
    assert searched(sequences=64, largest=64, start=64) == ([64], 64)


def test_steps_double_before_they_halve():
    """A guess far off is left in growing steps."""
    assert searched(sequences=256, largest=64, start=1) == ([1, 2, 8, 128, 32, 64], 64)
    assert searched(sequences=256, largest=2, start=256) == ([256, 128, 32, 2, 8, 4], 2)
