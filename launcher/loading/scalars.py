"""What an unquoted word means: our own table instead of YAML 1.1's, where `no` is false and `12:30:00` is 45000.

Source: YAML 1.2.2, section 10.3.2 (core schema), without its octal, hexadecimal and not-finite numbers and with
`_` between digits. https://yaml.org/spec/1.2.2/#1032-tag-resolution
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

__all__ = ["Fault", "reads_as_text", "resolve", "unfit"]

_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_WHOLE = re.compile(rf"[-+]?{_DIGITS}")
_DECIMAL = re.compile(rf"[-+]?(?:{_DIGITS}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_NUMBER = 100
_NOT_AT_THE_START = "-?:,[]{}#&*!|>'\"%@` "


class Fault(NamedTuple):
    """Why a word is refused wherever it stands."""

    code: str
    expected: str
    hint: str = ""


def resolve(text: str) -> str | int | float | bool | Fault | None:
    """The value of an unquoted word, or why it has none."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        return Fault("not-finite", "a finite number")
    if not _DECIMAL.fullmatch(text):
        return text
    if _LEADING_ZERO.match(text):
        number = re.sub(r"^([-+]?)0[0_]*(?=[0-9])", r"\1", text)
        return Fault(
            "leading-zero",
            "a number without leading zero, which other readers take as octal",
            f'write `{number}`, or `"{text}"` to mean text',
        )
    if len(text) > _LONGEST_NUMBER:
        return Fault("out-of-range", f"a number of at most {_LONGEST_NUMBER} characters")
    digits = text.replace("_", "")
    if _WHOLE.fullmatch(text):
        return int(digits)
    value = float(digits)
    return value if math.isfinite(value) else Fault("not-finite", "a number below 1.8e308")


def unfit(text: str) -> str:
    """Why a text cannot be an argument, a variable or a line of a file; empty when it can."""
    if "\0" in text:
        return "expected text without the character NUL, which no argument or variable can hold"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "expected text that UTF-8 can hold"
    return ""


def reads_as_text(text: str) -> bool:
    """Whether a text means itself when it is written without quotes."""
    return (
        isinstance(resolve(text), str)
        and text.isprintable()
        and text == text.strip()
        and text[0] not in _NOT_AT_THE_START
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
    )
