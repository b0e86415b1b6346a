"""Polynomials are found exactly or not at all."""

from fractions import Fraction

import pytest

from launcher.measuring.symbols import Fitter, InexactError, add, as_data, value_of

SETS = [
    {"t": 10, "h": 28, "f": 37, "s": 5, "b": 2},
    {"t": 21, "h": 66, "f": 41, "s": 7, "b": 3},
    {"t": 30, "h": 78, "f": 59, "s": 6, "b": 5},
    {"t": 18, "h": 50, "f": 97, "s": 9, "b": 2},
]


def sizes(poly):
    return [int(value_of(poly, each)) for each in SETS]


@pytest.mark.parametrize(
    "poly",
    [
        {"t*h": 4},
        {"t*s": 2},
        {"1": 8},
        {"h*f": 12},
        {"s*s": 4},
        {"t*h": Fraction(1, 2)},
        {"t*h": 4, "h*b": -4},
        {},
    ],
    ids=str,
)
def test_what_was_put_in_comes_out(poly):
    """A polynomial of one or two terms is found from its values."""
    assert Fitter(SETS).fit(sizes(poly)) == poly


def test_tokens_have_one_name():
    """b*s is called t."""
    assert Fitter(SETS).fit([each["b"] * each["s"] * each["h"] for each in SETS]) == {"t*h": 1}


def test_one_byte_too_many_is_no_fit():
    """A size that no polynomial has is an error, however near one is."""
    values = sizes({"t*h": 4})
    with pytest.raises(InexactError, match="no polynomial"):
        Fitter(SETS).fit([values[0] + 1, *values[1:]])


def test_sums_drop_what_cancels():
    """Adding polynomials leaves no zero behind, and files hold whole numbers where they are whole."""
    assert add([{"t": 2, "h": Fraction(1, 2)}, {"t": -2}]) == {"h": Fraction(1, 2)}
    assert add([{"t": 2}], sign=-1) == {"t": -2}
    assert as_data({"1": Fraction(8), "t*h": Fraction(1, 2), "t*a*s": Fraction(6)}) == {
        "t*a*s": 6,
        "t*h": 0.5,
        "1": 8,
    }
