"""Amounts are exact, and an amount of the wrong kind says what was expected."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.units import Amount, UnitError, parse_amount
from launcher.units.amounts import KINDS, describe_kind


@pytest.mark.parametrize(
    ("text", "kind", "number", "unit"),
    [
        ("2000 steps", "length or share", 2000, "steps"),
        ("1 step", "length", 1, "steps"),
        ("375M tokens", "length or share", 375 * 10**6, "tokens"),
        ("1.5B tokens", "length", 15 * 10**8, "tokens"),
        ("183_105 samples", "length or share", 183105, "samples"),
        ("183105 samples", "ramp", 183105, "samples"),
        ("2.5 epochs", "length", Fraction(5, 2), "epochs"),
        ("3 %", "length or share", 3, "%"),
        ("3%", "length or share", 3, "%"),
        ("0.5 %", "length or share", Fraction(1, 2), "%"),
        ("8Mi", "count", 8 * 2**20, ""),
        ("4Ki", "count", 4096, ""),
        ("300B", "count", 300 * 10**9, ""),
        ("1e3", "count", 1000, ""),
        ("1.5e3 steps", "length", 1500, "steps"),
        ("60 s", "duration", 60, "seconds"),
        ("10 min", "duration", 600, "seconds"),
        ("24 h", "duration", 86400, "seconds"),
        ("1.5 h", "duration", 5400, "seconds"),
        ("80 GiB", "size", 80 * 2**30, "bytes"),
        ("80 GB", "size", 80 * 10**9, "bytes"),
        ("450 GB/s", "rate", 450 * 10**9, "bytes/s"),
    ],
)
def test_amounts_are_exact(text, kind, number, unit):
    """The number is the one written, without a float on the way."""
    assert parse_amount(text, kind=kind) == Amount(number=Fraction(number), unit=unit, text=text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2000", "length"),
        ("2000 step s", "length"),
        ("steps", "length"),
        ("-5 steps", "length"),
        ("0.5 steps", "length"),
        ("1.00001K tokens", "length"),
        ("3 %", "length"),
        ("5 minutes", "duration"),
        ("5 steps", "duration"),
        ("5K s", "duration"),
        ("60", "duration"),
        ("1.5", "count"),
        ("12X", "count"),
        ("8mi", "count"),
        ("8Bi", "count"),
        ("", "count"),
        ("80 gb", "size"),
        ("450 GB", "rate"),
        ("5 epochs", "ramp"),
        ("nan steps", "length"),
        ("1e400000000 steps", "length"),
        ("٣ steps", "length"),
    ],
)
def test_other_texts_are_refused(text, kind):
    """Anything else is a UnitError whose words say what was expected."""
    with pytest.raises(UnitError, match="expected"):
        parse_amount(text, kind=kind)


@given(number=st.integers(0, 10**15), prefix=st.sampled_from(["", "K", "M", "B", "Ki", "Gi"]))
def test_whole_numbers_survive(number, prefix):
    """Every whole number with every prefix is a whole number of tokens."""
    found = parse_amount(f"{number}{prefix} tokens", kind="length")
    assert found.number.denominator == 1
    assert found.number % max(number, 1) == 0


@given(text=st.text(max_size=30), kind=st.sampled_from(sorted(KINDS)))
def test_no_text_breaks_the_reader(text, kind):
    """Any text is an amount or a UnitError."""
    try:
        found = parse_amount(text, kind=kind)
    except UnitError as error:
        assert describe_kind(kind) in str(error) or "whole number" in str(error)  # noqa: PT017
    else:
        assert found.unit in KINDS[kind]
