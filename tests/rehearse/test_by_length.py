"""Which samples come first in a trial."""

from __future__ import annotations

import pytest

from launcher.runtime.by_length import SCANNED, by_length, sample_length


class Row:
    """What a tensor shows of itself."""

    def __init__(self, *shape):
        self.shape = shape

    def __len__(self):
        if not self.shape:
            raise TypeError
        return self.shape[0]


def test_the_longest_first():
    """Ties keep their order, so that every rank and every start agrees."""
    data = [[0] * length for length in (3, 5, 1, 5, 2)]
    found = by_length(data, num_samples=5, wish="longest", first_batch=2)
    assert found.indices == (1, 3, 0, 4, 2)
    assert (found.scanned, found.longest, found.shortest) == (5, 5, 1)


def test_half_of_a_ragged_batch_is_short():
    """The longest fill its first places and the shortest its last ones."""
    data = [[0] * length for length in (3, 5, 1, 4, 2)]
    assert by_length(data, num_samples=5, wish="ragged", first_batch=4).indices == (1, 3, 4, 2)
    assert by_length(data, num_samples=5, wish="ragged", first_batch=8).indices == (1, 3, 0, 4, 2)


def test_a_large_data_set_is_looked_at_here_and_there():
    """The scan is bounded, evenly spread, and reads nothing twice."""
    seen = []

    class Data:
        def __getitem__(self, index):
            seen.append(index)
            return [0] * (index % 7)

    found = by_length(Data(), num_samples=10**9, wish="longest", first_batch=8)
    assert len(seen) == len(set(seen)) == found.scanned == SCANNED
    assert max(seen) > 0.99 * 10**9
    assert all(index % 7 == 6 for index in found.indices[:8])


@pytest.mark.parametrize(
    ("sample", "length"),
    [
        ({"labels": Row(9), "input_ids": Row(5)}, 5),
        ({"pixels": Row(3, 224, 224), "label": 7}, 3),
        ((Row(), Row(4)), 4),
        ([1, 2, 3], 3),
        ("words", 5),
        (Row(65), 65),
        (Row(), None),
        (7, None),
        ({"label": 7}, None),
        ([], 0),
    ],
)
def test_the_length_of_a_sample(sample, length):
    """Token ids where there are any, else the first part that has a length."""
    assert sample_length(sample) == length


def test_samples_without_a_length_stay_in_their_order():
    """An order that cannot be told is none."""
    found = by_length([1, 2, 3], num_samples=3, wish="longest", first_batch=2)
    assert found.indices == ()
    assert found.longest is None
