"""One scalar against one shape: the value, or what is wrong with it."""

from __future__ import annotations

import re
from typing import Any

from launcher.loading.near import near_miss
from launcher.loading.quantities import amount_hint, read_quantity
from launcher.loading.scalars import resolve
from launcher.loading.tree import Scalar
from launcher.loading.wrong import LARGEST, Wrong
from launcher.spec.forms import FORMS
from launcher.spec.kinds import Range
from launcher.spec.shapes import ChoiceShape, FlagShape, NumberShape, QuantityShape, Shape, TextShape

__all__ = ["read_any_of", "read_scalar"]

_FLAGS = {"yes": "true", "on": "true", "true": "true", "1": "true"} | {
    "no": "false",
    "off": "false",
    "false": "false",
    "0": "false",
}
_OTHER_BASE = re.compile(r"[-+]?0[xob][0-9a-f_]+", re.IGNORECASE)
_NOT_FINITE = re.compile(r"[-+.]*(inf|infinity|nan)", re.IGNORECASE)
_SCALARS = (TextShape, NumberShape, FlagShape, ChoiceShape, QuantityShape)
_RANK = ("out-of-range", "not-finite", "bad-unit")


def read_scalar(shape: Shape, scalar: Scalar) -> Any:
    """The value of a scalar, or a Wrong."""
    match shape:
        case TextShape(form=form):
            return _text(form, scalar)
        case NumberShape(whole=True, range=bounds):
            return _whole(bounds, scalar)
        case NumberShape(range=bounds):
            return _number(bounds, scalar)
        case FlagShape():
            return _flag(scalar)
        case ChoiceShape(choices=choices):
            return _choice(choices, scalar)
        case QuantityShape(unit=unit):
            return read_quantity(unit, scalar)
        case _:
            return Wrong("wrong-type")


def read_any_of(shapes: tuple[Shape, ...], scalar: Scalar) -> Any:
    """The value by the first shape that takes it, or the Wrong that comes closest to what was meant."""
    results = [read_scalar(shape, scalar) for shape in shapes if isinstance(shape, _SCALARS)]
    fitting = [result for result in results if not isinstance(result, Wrong)]
    if fitting or not results:
        return fitting[0] if fitting else Wrong("wrong-type")
    return min(results, key=lambda wrong: _distance(wrong, scalar))


def _distance(wrong: Wrong, scalar: Scalar) -> tuple[bool, bool, bool]:
    """Order of complaints about one value: a number out of range was meant as that number, a slip has a hint."""
    fits_kind = (wrong.code == "bad-choice") == isinstance(scalar.value, str)
    return wrong.code not in _RANK, not wrong.hint, not fits_kind


def _text(form: str, scalar: Scalar) -> str | Wrong:
    value = scalar.value
    if not isinstance(value, str):
        return Wrong(
            "wrong-type", hint=f'write `"{scalar.text}"` to mean text' if form in {"", "not empty"} else ""
        )
    if not re.fullmatch(FORMS[form].pattern, value):
        between = (
            re.fullmatch(r"([0-9]+)\s*(?:-|to|\.\.\.)\s*([0-9]+)", value) if form == "node range" else None
        )
        hint = f"write `{between[1]}..{between[2]}`" if between else ""
        return Wrong("wrong-type", expected="" if value else "text that is not empty", hint=hint)
    return _node_range(value) if form == "node range" else value


def _node_range(value: str) -> str | Wrong:
    low, high = (int(part) for part in value.split(".."))
    if low > high:
        return Wrong("out-of-range", expected="the smaller number first", hint=f"write `{high}..{low}`")
    return value if high <= LARGEST else Wrong("out-of-range", expected=f"at most {LARGEST}")


def _whole(bounds: Range, scalar: Scalar) -> int | Wrong:
    value = scalar.value
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST:
            return Wrong("out-of-range", expected=f"at most {LARGEST}")
        return value if _inside(value, bounds) else Wrong("out-of-range")
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        return Wrong("wrong-type", hint=f"write `{int(value)}`")
    return Wrong("wrong-type", hint=_number_hint(scalar))


def _number(bounds: Range, scalar: Scalar) -> float | Wrong:
    value = scalar.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if _inside(value, bounds) else Wrong("out-of-range")
    if isinstance(value, str) and _NOT_FINITE.fullmatch(value):
        return Wrong("not-finite", expected="a finite number")
    return Wrong("wrong-type", hint=_number_hint(scalar))


def _inside(value: float, bounds: Range) -> bool:
    low, high = bounds.low, bounds.high
    above = low is None or value > low or (value == low and not bounds.low_open)
    below = high is None or value < high or (value == high and not bounds.high_open)
    return above and below


def _number_hint(scalar: Scalar) -> str:
    """How to write the number that a text seems to mean."""
    value = scalar.value
    if not isinstance(value, str):
        return ""
    if isinstance(resolve(value), int | float) and value:
        return "drop the quotes"
    if _OTHER_BASE.fullmatch(value):
        return f"write `{int(value.lower(), 0)}`: numbers are decimal"
    if share := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,4})?) ?%", value):
        return f"write `{float(share[1]) / 100:g}`"
    without_commas = resolve(re.sub(r",(?=[0-9]{3})", "", value))
    if isinstance(without_commas, int | float) and not isinstance(without_commas, bool):
        return f"write `{without_commas}`"
    return amount_hint(value)


def _flag(scalar: Scalar) -> bool | Wrong:
    if isinstance(scalar.value, bool):
        return scalar.value
    if scalar.value in {"true", "false"}:
        return Wrong("wrong-type", hint="drop the quotes")
    meant = _FLAGS.get(str(scalar.value).lower(), "")
    return Wrong("wrong-type", hint=f"write `{meant}`" if meant else "")


def _choice(choices: tuple[str | int, ...], scalar: Scalar) -> str | int | Wrong:
    value = scalar.value
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    if not isinstance(value, str):
        return Wrong("bad-choice")
    if any(str(choice) == value for choice in choices):
        return Wrong("wrong-type", hint="drop the quotes")
    near = near_miss(value, [choice for choice in choices if isinstance(choice, str)])
    return Wrong("bad-choice", hint=f"did you mean `{near}`?" if near else "")
