"""Amounts with a unit (`2000 steps`, `375M tokens`, `3 %`, `60 s`, `80 GiB`), kept exact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["KINDS", "Amount", "UnitError", "amount_pattern", "describe_kind", "parse_amount", "unit_words"]

_DECIMAL = {"": 1, "K": 10**3, "k": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_ALL_BYTES = {**_BYTES, **_BINARY_BYTES}
_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}

# unit word as written -> (base unit, factor)
_WORDS: dict[str, tuple[str, Fraction]] = {
    **{word: (word, Fraction(1)) for word in ("steps", "samples", "tokens", "epochs", "%")},
    **{word: (f"{word}s", Fraction(1)) for word in ("step", "sample", "token", "epoch")},
    **{word: ("seconds", factor) for word, factor in _SECONDS.items()},
    **{word: ("bytes", Fraction(factor)) for word, factor in _ALL_BYTES.items()},
    **{f"{word}/s": ("bytes/s", Fraction(factor)) for word, factor in _ALL_BYTES.items()},
}

KINDS = {
    "count": ("",),
    "length": ("steps", "samples", "tokens", "epochs"),
    "length or share": ("steps", "samples", "tokens", "epochs", "%"),
    "ramp": ("samples", "tokens"),
    "duration": ("seconds",),
    "size": ("bytes",),
    "rate": ("bytes/s",),
}
# bounded: an exponent of nine digits would otherwise be computed
_COUNTED = ("", "steps", "samples", "tokens", "epochs")
_NUMBER = re.compile(
    r"(?P<digits>[0-9][0-9_]{0,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?)(?P<prefix>[KkMBGT]i?)?\Z"
)


class UnitError(ValueError):
    """A text that is not an amount of the kind asked for; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact number of one base unit, with the text it was written as."""

    number: Fraction
    unit: str
    text: str

    def __str__(self) -> str:
        return self.text


def parse_amount(text: str, *, kind: str) -> Amount:
    """The amount that `text` says, in the base unit of its word.

    kind: a key of KINDS. Counts take K M B T (decimal) and Ki Mi Gi Ti (binary): `8Mi` is 8 * 2**20.
    Raises UnitError.
    """
    number_text, _, word = text.strip().partition(" ")
    word = word.strip()
    if not word and number_text.endswith("%"):
        number_text, word = number_text[:-1], "%"
    match = _NUMBER.match(number_text)
    if match is None:
        raise UnitError(f"expected {describe_kind(kind)}")
    unit, factor = _WORDS.get(word, (word, Fraction(1)))
    if unit not in KINDS[kind]:
        raise UnitError(f"expected {describe_kind(kind)}")
    prefix = match["prefix"] or ""
    if prefix and unit not in _COUNTED:
        raise UnitError(f"expected {describe_kind(kind)}")
    scale = {**_DECIMAL, **_BINARY}.get(prefix)
    if scale is None:
        raise UnitError(f"expected {describe_kind(kind)}")
    number = Fraction(match["digits"].replace("_", "")) * scale * factor
    if unit in {"", "steps", "samples", "tokens", "bytes"} and number.denominator != 1:
        raise UnitError(f"expected a whole number of {unit or 'units'}")
    return Amount(number=number, unit=unit, text=text.strip())


def describe_kind(kind: str) -> str:
    """What a person may write for a kind, as a phrase for a message."""
    return {
        "count": "a whole number, with K M B T or Ki Mi Gi Ti if large (`300B`)",
        "length": "a number and `steps`, `samples`, `tokens` or `epochs` (`2000 steps`)",
        "length or share": "a number and `steps`, `samples`, `tokens`, `epochs` or `%` (`2000 steps`)",
        "ramp": "a number and `samples` or `tokens` (`250B tokens`)",
        "duration": "a number and `s`, `min` or `h` (`60 s`)",
        "size": "a number and `MB`, `GB`, `MiB` or `GiB` (`80 GiB`)",
        "rate": "a number and `MB/s` or `GB/s` (`450 GB/s`)",
    }[kind]


def unit_words(*, kind: str) -> tuple[str, ...]:
    """The words that may follow the number of an amount of this kind."""
    return tuple(word for word, (unit, _) in _WORDS.items() if unit in KINDS[kind])


def amount_pattern(*, kind: str) -> str:
    """A pattern for the texts that parse_amount takes, for JSON Schema; it does not see what is not whole."""
    number = r"[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]+)?"
    prefix = f"({'|'.join([*filter(None, _DECIMAL), *_BINARY])})?"
    words = unit_words(kind=kind)
    counted = [word for word in words if _WORDS[word][0] in _COUNTED]
    others = [re.escape(word) for word in words if word not in counted]
    forms = [f"{number}{prefix} +({'|'.join(counted)})"] if counted else []
    forms += [f"{number} +({'|'.join(others)})"] if others else []
    forms += [f"{number}%"] if "%" in words else []
    return f"^({'|'.join(forms or [f'{number}{prefix}'])})$"
