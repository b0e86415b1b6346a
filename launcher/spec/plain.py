"""Spec values to plain JSON values and back. Fractions travel as `numerator/denominator`, amounts as written."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from launcher.units import Amount

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Mappings, lists and scalars only; dataclass fields in their order, internal ones left out."""
    if isinstance(value, Amount):
        return str(value)
    if isinstance(value, Fraction):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: to_plain(getattr(value, item.name))
            for item in fields(value)
            if not item.metadata.get("internal")
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], data: Mapping[str, Any]) -> T:
    """The dataclass `kind` from what to_plain made of it; keys it does not know are left out.

    Raises TypeError or ValueError when the data is of another shape.
    """
    hints = get_type_hints(kind)
    values = {
        item.name: _read(hints[item.name], data[item.name])
        for item in fields(kind)  # type: ignore[arg-type]
        if item.name in data
    }
    return kind(**values)


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        if value is None:
            return None
        chosen = [option for option in get_args(kind) if option is not type(None)]
        return _read(chosen[0], value) if len(chosen) == 1 else value
    if origin is tuple:
        inner = get_args(kind)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_read(inner[0], item) for item in value)
        return tuple(_read(part, item) for part, item in zip(inner, value, strict=True))
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        inner = get_args(kind)[1]
        return {key: _read(inner, item) for key, item in value.items()}
    if kind is Fraction:
        return Fraction(value)
    if kind is float and isinstance(value, int):
        return float(value)
    if is_dataclass(kind) and isinstance(kind, type):
        return from_plain(kind, value)
    return value
