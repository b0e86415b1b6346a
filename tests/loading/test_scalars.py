"""What an unquoted word means."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.loading.scalars import Fault, reads_as_text, resolve

NUMBERS = {
    "0": 0,
    "-0": 0,
    "7": 7,
    "+7": 7,
    "-7": -7,
    "1_000": 1000,
    "1_000_000": 10**6,
    "1e4": 1e4,
    "1e-4": 1e-4,
    "1.5e-4": 1.5e-4,
    "1E+4": 1e4,
    "1.": 1.0,
    ".5": 0.5,
    "-.5": -0.5,
    "0.1": 0.1,
    "0e0": 0.0,
    "1_000.5": 1000.5,
    "1e-400": 0.0,
}
TEXTS = [
    *("yes", "no", "on", "off", "Yes", "NO", "True", "FALSE", "y", "n", "Null", "NULL", "None"),
    *("12:30:00", "1:30", "01:30:00", "2026-11-21", "2001-12-14t21:59:43.10-05:00"),
    *("0x10", "0o17", "0b11", "1__000", "1_", "_1", "1_.5", "1e", "e5", ".", "-", "+", "1.2.3", "1,000"),
    *("inf", "nan", "Infinity", "-", "--lr", "<<", "=", "300B", "8Mi", "3 %", "60 s", "\u0663", "1e4x"),
]
LEADING_ZEROS = {"010": "10", "00": "0", "-010": "-10", "+07": "+7", "01.5": "1.5", "0_1": "1", "00e1": "0e1"}


@pytest.mark.parametrize(("text", "number"), NUMBERS.items())
def test_numbers(text, number):
    """Decimal whole numbers and floats are numbers, of the type they are written as."""
    assert resolve(text) == number
    assert type(resolve(text)) is type(number)


@pytest.mark.parametrize("text", TEXTS)
def test_what_yaml_1_1_would_change_stays_text(text):
    """Everything else stays what was written."""
    assert resolve(text) == text


@pytest.mark.parametrize(("text", "value"), {"true": True, "false": False, "null": None, "~": None}.items())
def test_the_four_words(text, value):
    """Only four words mean something else than themselves."""
    assert resolve(text) is value


@pytest.mark.parametrize(("text", "without"), LEADING_ZEROS.items())
def test_leading_zeros_are_refused(text, without):
    """A number with a leading zero is refused, with both ways to mean it."""
    fault = resolve(text)
    assert isinstance(fault, Fault)
    assert fault.code == "leading-zero"
    assert fault.hint == f'write `{without}`, or `"{text}"` to mean text'


@pytest.mark.parametrize(
    "text", [".inf", "-.inf", "+.INF", ".Inf", ".nan", ".NaN", ".NAN", "1e999", "-1e400"]
)
def test_what_is_not_finite_is_refused(text):
    """Infinity is no setting, whether written or overflown."""
    fault = resolve(text)
    assert isinstance(fault, Fault)
    assert fault.code == "not-finite"


def test_a_number_too_long_to_be_one_is_refused():
    """Five thousand digits are neither converted nor taken as text."""
    fault = resolve("9" * 5000)
    assert isinstance(fault, Fault)
    assert fault.code == "out-of-range"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_reads_back(number):
    """What Python prints for a float is that float."""
    assert math.copysign(1, float(resolve(repr(number)))) == math.copysign(1, number)
    assert resolve(repr(number)) == number


@given(st.integers(min_value=-(10**60), max_value=10**60))
def test_every_whole_number_reads_back(number):
    """With and without `_` between the digits."""
    assert resolve(str(number)) == number
    assert resolve(f"{number:_}") == number


@given(st.text(max_size=30))
def test_no_word_fails(text):
    """Every word has a value or a fault, and text that reads as text is itself."""
    value = resolve(text)
    assert value is None or isinstance(value, str | int | float | bool | Fault)
    if reads_as_text(text):
        assert value == text
