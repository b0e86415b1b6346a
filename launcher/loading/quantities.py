"""Amounts with a unit, and what a person may have meant by one that is not."""

from __future__ import annotations

import re
from fractions import Fraction

from launcher.loading.near import near_miss
from launcher.loading.tree import Scalar
from launcher.loading.wrong import LARGEST, Wrong
from launcher.spec.kinds import HasUnit
from launcher.units import Amount, UnitError, parse_amount
from launcher.units.amounts import KINDS, unit_words

__all__ = ["amount_hint", "read_quantity"]

_LONGEST = 60
_HUGE_EXPONENT = re.compile(r"[eE][+-]?[0-9]{4,}")  # a Fraction of it would fill the memory
_NUMBER_AND_WORD = re.compile(r"([0-9][0-9._,]*(?:[eE][+-]?[0-9]+)?)\s*([KkMBGT]i?(?=\s))?\s*([A-Za-z%/]+)")
_CLOCK = re.compile(r"(?:([0-9]{1,3})-)?([0-9]{1,3}):([0-9]{2}):([0-9]{2})")  # Slurm's
_BITS = re.compile(r"([KMGT]i?)b(?:it)?(?:ps|/s)")  # links are sold in bits
_USUAL_UNIT = {"duration": "s", "size": "GiB", "rate": "GB/s"}
_OTHER_WORDS = {
    "iterations": "steps", "iters": "steps", "updates": "steps", "sequences": "samples", "percent": "%",
    "minutes": "min", "minute": "min", "mins": "min", "m": "min", "hours": "h", "hour": "h", "hrs": "h",
    "seconds": "s", "second": "s", "secs": "s", "sec": "s", "days": "d", "day": "d",
}  # fmt: skip


def read_quantity(unit: HasUnit, scalar: Scalar) -> Amount | Wrong:
    """The exact amount a scalar says, or a Wrong."""
    value = scalar.value
    if isinstance(value, bool) or value is None:
        return Wrong("wrong-type")
    if not isinstance(value, str) and not unit.bare:
        return Wrong("bad-unit", hint=f"write `{_with_unit(scalar.text, unit.kind)}`")
    text = value if isinstance(value, str) else scalar.text
    if len(text) > _LONGEST or _HUGE_EXPONENT.search(text):
        return Wrong("out-of-range", expected="an amount that a 64-bit number can hold")
    try:
        amount = parse_amount(text, kind=unit.kind)
    except UnitError as error:
        return _unreadable(text, unit.kind, error)
    return _in_range(amount, unit)


def amount_hint(text: str) -> str:
    """How to write a count with a suffix (`8Ki`) where a plain number is wanted; empty when it is none."""
    if len(text) > _LONGEST or _HUGE_EXPONENT.search(text):
        return ""
    try:
        return f"write `{int(parse_amount(text, kind='count').number)}`"
    except UnitError:
        return ""


def _unreadable(text: str, kind: str, error: UnitError) -> Wrong:
    if text.startswith("-") and _reads(text[1:], kind):
        return Wrong("out-of-range", expected="an amount above 0")
    expected = str(error).removeprefix("expected ")
    if expected.startswith("a whole number of "):
        return Wrong("out-of-range", expected=expected.removesuffix(" of units"))
    meant = _meant(text, kind)
    return Wrong("bad-unit", expected=expected, hint=f"write `{meant}`" if meant else "")


def _in_range(amount: Amount, unit: HasUnit) -> Amount | Wrong:
    if amount.number == 0 and not unit.zero:
        return Wrong("out-of-range", expected="an amount above 0")
    if amount.number > LARGEST:
        return Wrong("out-of-range", expected="an amount that a 64-bit number can hold")
    if amount.unit == "%" and amount.number > 100:
        return Wrong("out-of-range", expected="at most 100 %")
    return amount


def _with_unit(text: str, kind: str) -> str:
    """A bare number with the unit it most likely has; a fraction of the run is a share."""
    number = Fraction(text) if re.fullmatch(r"0?\.[0-9]{1,6}", text) else None
    if number and "%" in KINDS[kind]:
        return f"{float(number * 100):g} %"
    return f"{text} {_USUAL_UNIT.get(kind, KINDS[kind][0])}"


def _meant(text: str, kind: str) -> str:
    """The amount a text is a slip of: a missing space, a plural, another tool's word, commas; empty when unclear."""
    if kind == "count":
        candidates = [text.replace(" ", "").replace(",", ""), text.replace(" ", "").upper()]
        return next((candidate for candidate in candidates if _reads(candidate, kind)), "")
    if kind == "duration" and (clock := _CLOCK.fullmatch(text)):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return (
            f"{days * 24 + hours} h"
            if minutes == seconds == 0
            else f"{days * 1440 + hours * 60 + minutes} min"
        )
    match = _NUMBER_AND_WORD.fullmatch(text.strip())
    if match is None:
        return ""
    number, prefix, word = match[1].replace(",", ""), match[2] or "", match[3]
    if kind == "rate" and (bits := _BITS.fullmatch(word)):
        number, word = f"{float(number) / 8:g}", f"{bits[1]}B/s"
    words = unit_words(kind=kind)
    word = _OTHER_WORDS.get(word.lower(), word)
    word = word if word in words else near_miss(word, words)
    meant = f"{number}{prefix} {word}"
    return meant if word and _reads(meant, kind) else ""


def _reads(text: str, kind: str) -> bool:
    try:
        parse_amount(text, kind=kind)
    except UnitError:
        return False
    return True
