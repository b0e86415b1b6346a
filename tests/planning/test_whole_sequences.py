"""A stage ends where the next one, of another length, can begin on a whole sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.stages.whole_sequences import (
    length_out_of_step,
    longest_length,
    steps_to_whole_sequence,
)


@given(
    steps=st.integers(1, 50),
    before=st.integers(0, 400),
    per_step=st.integers(1, 200),
    length=st.integers(1, 64),
)
def test_the_fewest_steps_that_end_on_a_whole_sequence(steps, before, per_step, length):
    """A search through one whole period of remainders finds the same number, or finds none."""
    found = steps_to_whole_sequence(
        steps=steps, tokens_before=before, tokens_per_step=per_step, next_length=length
    )
    ends = (n for n in range(steps, steps + length) if (before + n * per_step) % length == 0)
    assert found == next(ends, None)


def test_a_ramp_at_one_length_stays_where_it_is_written():
    """Steps hold whole sequences of their own length."""
    assert steps_to_whole_sequence(steps=7, tokens_before=0, tokens_per_step=5 * 16, next_length=16) == 7


def test_an_odd_number_of_short_sequences_takes_one_step_more():
    """Three sequences of 16 per step: after five steps half a sequence of 32 is left over, after six none."""
    assert steps_to_whole_sequence(steps=5, tokens_before=0, tokens_per_step=48, next_length=32) == 6


def test_no_number_of_steps_ends_on_a_whole_sequence():
    """From half a sequence on, steps of whole sequences never come out even."""
    assert steps_to_whole_sequence(steps=1, tokens_before=16, tokens_per_step=64, next_length=32) is None


@pytest.mark.parametrize(
    ("lengths", "longest", "odd"),
    [((16, 32), 32, None), ((16, 16), None, None), ((24, 16, 48), 48, None), ((32, 12, 32), 32, 12)],
)
def test_lengths_divide_the_longest(lengths, longest, odd):
    """The longest length is the chunk that is permuted; every other one has to divide it."""
    assert longest_length(lengths) == longest
    assert length_out_of_step(lengths) == odd


def test_a_length_that_nobody_knows():
    """Images have none; encoder-decoders have two, which is not this module's affair."""
    assert longest_length((None, None)) is None
