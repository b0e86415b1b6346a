"""Numbers as people read them."""

import pytest

from launcher.units import show_bytes, show_count, show_rate


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (3e-4, "3.0e-4"),
        (1.5e-4, "1.5e-4"),
        (2.8284271247461905e-3, "0.002828"),
        (0.1, "0.1"),
        (3.2, "3.2"),
        (0.0, "0"),
        (1.234567e-5, "1.235e-5"),
    ],
)
def test_rates(rate, text):
    """A learning rate keeps up to four digits."""
    assert show_rate(rate) == text


def test_counts_and_bytes():
    """Counts have separators; GiB is 2**30 bytes."""
    assert show_count(8388608) == "8,388,608"
    assert show_bytes(3 * 2**29) == "1.5 GiB"
