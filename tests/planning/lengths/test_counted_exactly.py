"""Truncation, padding and packing on a histogram, against samples that are drawn, sorted and packed one by one."""

from collections import Counter
from itertools import combinations, permutations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.planning.lengths import padding
from launcher.planning.lengths.histogram import histogram_of
from launcher.planning.lengths.packing import (
    concatenated_sequences,
    cut_share,
    fewest_sequences,
    packed_sequences,
)
from launcher.planning.lengths.padding import expected_longest, slots_by_micro_batch, sorted_slots
from launcher.planning.lengths.pairs import Pairs
from launcher.planning.lengths.rows import LAYOUTS, row_of

FEW = st.lists(st.integers(1, 9), min_size=1, max_size=6)
MANY = st.lists(st.integers(1, 30), min_size=1, max_size=60)
SIZE = st.integers(1, 8)


def histogram(lengths):
    return histogram_of(Counter(lengths))


def batches(samples, size):
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def padded(samples, size):
    """Token slots of micro-batches in that order."""
    return sum(len(batch) * max(batch) for batch in batches(samples, size))


@given(lengths=FEW, size=SIZE)
def test_the_expected_longest_of_a_draw(lengths, size):
    """The mean over every way to draw so many samples, to the last digits."""
    every = [max(drawn) for drawn in combinations(lengths, min(size, len(lengths)))]
    assert expected_longest(histogram(lengths), batch_size=size) == pytest.approx(mean(every), rel=1e-12)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), size=SIZE)
def test_expected_slots_of_a_shuffled_pass(lengths, size):
    """The mean over every order of the samples, the last micro-batch holding what is left."""
    every = [padded(order, size) for order in permutations(lengths)]
    assert slots_by_micro_batch(histogram(lengths), batch_size=size) == pytest.approx(mean(every), rel=1e-12)


@given(lengths=MANY, size=SIZE)
def test_large_sets_take_logarithms(lengths, size):
    """The two ways to compute a share of draws agree."""
    exact = expected_longest(histogram(lengths), batch_size=size)
    limit = padding._EXACT
    try:
        padding._EXACT = 0
        assert expected_longest(histogram(lengths), batch_size=size) == pytest.approx(exact, rel=1e-9)
    finally:
        padding._EXACT = limit


@given(lengths=MANY, size=SIZE)
def test_sorting(lengths, size):
    """Sorted samples, cut into micro-batches; with whole micro-batches no other order needs fewer slots."""
    slots = sorted_slots(histogram(lengths), batch_size=size)
    assert slots == padded(sorted(lengths), size)
    if len(lengths) % size == 0:
        assert slots <= padded(lengths, size)


@given(pairs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40), size=SIZE)
def test_sorting_pairs(pairs, size):
    """By input, then target; each side of a micro-batch is padded to its own longest."""
    expected = sum(
        len(batch) * (max(one for one, _ in batch) + max(two for _, two in batch))
        for batch in batches(sorted(pairs), size)
    )
    assert Pairs(Counter(pairs)).sorted_slots(batch_size=size) == expected


def best_fit(lengths, room):
    """Sequences of best-fit decreasing, one sample at a time."""
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [at for at, left in enumerate(rooms) if left >= length]
        if fitting:
            best = min(fitting, key=rooms.__getitem__)
            rooms[best] -= length
        else:
            rooms.append(room - length)
    return len(rooms)


def fewest(lengths, room):
    """The fewest sequences that hold all samples, by trying everything."""
    best = len(lengths)

    def place(rest, rooms):
        nonlocal best
        if len(rooms) >= best:
            return
        if not rest:
            best = len(rooms)
            return
        for at in {left: at for at, left in enumerate(rooms) if left >= rest[0]}.values():
            place(rest[1:], [left - rest[0] if at == other else left for other, left in enumerate(rooms)])
        place(rest[1:], [*rooms, room - rest[0]])

    place(sorted(lengths, reverse=True), [])
    return best


@given(lengths=MANY, room=st.integers(30, 60))
def test_packing_a_histogram(lengths, room):
    """As many sequences as packing one sample after the other."""
    assert packed_sequences(histogram(lengths), sequence_length=room) == best_fit(lengths, room)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=9))
def test_packing_stays_within_its_bound(lengths):
    """Between the lower bound and 11/9 of the fewest plus 4."""
    best = fewest(lengths, 12)
    found = packed_sequences(histogram(lengths), sequence_length=12)
    assert fewest_sequences(histogram(lengths), sequence_length=12) <= best <= found <= 11 / 9 * best + 4


def test_a_published_packing_factor_is_a_ratio_of_sequences():
    """Lengths of half a sequence pack two to one; one more token and none do."""
    assert packed_sequences(histogram([256] * 100), sequence_length=512) == 50
    assert packed_sequences(histogram([257] * 100), sequence_length=512) == 100
    assert fewest_sequences(histogram([257] * 100), sequence_length=512) == 100


@given(lengths=MANY, room=st.integers(1, 40))
def test_concatenation(lengths, room):
    """All tokens, cut every so many; a sample is cut at the share of the places where it may start."""
    whole = histogram(lengths)
    assert concatenated_sequences(whole, sequence_length=room) == len(
        batches("".join("x" * n for n in lengths), room)
    )
    cut = [sum(start // room != (start + n - 1) // room for start in range(room)) / room for n in lengths]
    assert cut_share(whole, sequence_length=room) == pytest.approx(mean(cut))


@given(lengths=MANY, limit=st.integers(1, 40), size=SIZE)
def test_a_row(lengths, limit, size):
    """Cut-off samples and tokens are counted; waste is what the slots hold beyond the tokens, least when sorted."""
    row = row_of(histogram(lengths), sequence_length=limit, micro_batch_size=size)
    kept = [min(length, limit) for length in lengths]
    assert row.kept_tokens == sum(kept)
    assert row.truncated_samples == pytest.approx(mean(length > limit for length in lengths))
    assert row.truncated_tokens == pytest.approx(1 - sum(kept) / sum(lengths))
    for name in LAYOUTS:
        tokens = sum(lengths) if name == "concatenated" else sum(kept)
        assert row.waste[name] == pytest.approx(max(0, 1 - tokens / row.slots[name]), abs=1e-9)
        assert 0 <= row.waste[name] < 1
    assert row.slots["micro_batch"] <= row.slots["padded"] * (1 + 1e-12)
    assert row.fewest_whole_slots <= row.slots["whole"]


@given(pairs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=5), size=SIZE)
def test_a_row_of_pairs(pairs, size):
    """An encoder-decoder's sides are cut and padded each by itself; nothing is packed."""
    limit = (5, 4)
    row = row_of(Pairs(Counter(pairs)), sequence_length=limit, micro_batch_size=size)
    kept = [(min(one, 5), min(two, 4)) for one, two in pairs]
    assert row.kept_tokens == sum(map(sum, kept))
    assert row.truncated_samples == pytest.approx(mean(one > 5 or two > 4 for one, two in pairs))
    every = [
        sum(len(b) * (max(one for one, _ in b) + max(two for _, two in b)) for b in batches(order, size))
        for order in permutations(kept)
    ]
    assert row.slots["micro_batch"] == pytest.approx(mean(every))
    assert row.slots["padded"] == 9 * len(pairs)
    assert row.waste["whole"] is row.cut_samples is None


@given(lengths=MANY, share=st.floats(0.01, 1))
def test_quantiles(lengths, share):
    """At least that share of the samples is no longer, and of no shorter length of the file."""
    mark = histogram(lengths).quantile(share)
    assert mean(length <= mark for length in lengths) >= share - 1e-12
    shorter = [length for length in lengths if length < mark]
    assert not shorter or mean(length <= max(shorter) for length in lengths) < share
