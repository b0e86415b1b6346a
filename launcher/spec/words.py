"""Shapes in words: what a key takes, as a phrase for messages and for the reference."""

from __future__ import annotations

from launcher.spec.forms import FORMS
from launcher.spec.kinds import Range
from launcher.spec.shapes import (
    ChoiceShape,
    EitherShape,
    FlagShape,
    FreeShape,
    ListShape,
    MappingShape,
    NumberShape,
    PairShape,
    QuantityShape,
    SectionShape,
    Shape,
    TextShape,
)
from launcher.units.amounts import describe_kind

__all__ = ["in_words", "joined"]

_PLAIN_TEXT = ("", "not empty")


def in_words(shape: Shape) -> str:
    """What may be written, as a phrase that follows `expected`."""
    match shape:
        case TextShape(form=form):
            return FORMS[form].words
        case NumberShape(whole=whole, range=bounds):
            return f"a {'whole ' if whole else ''}number{_range_in_words(bounds)}"
        case FlagShape():
            return "`true` or `false`"
        case ChoiceShape(choices=choices):
            return joined([f"`{choice}`" for choice in choices])
        case QuantityShape(unit=unit):
            return describe_kind(unit.kind)
        case ListShape(item=item):
            return f"a list{_items_in_words(item)}"
        case PairShape(items=items):
            return f"a list of {len(items)}, each {in_words(items[0])}"
        case MappingShape(value=value):
            return "keys of your choice" + (
                "" if isinstance(value, FreeShape) else f", each with {in_words(value)}"
            )
        case FreeShape():
            return "anything"
        case SectionShape(keys=keys):
            return _keys_in_words([key.name for key in keys])
        case EitherShape(options=options):
            return joined([in_words(option) for option in _short_first(options)], last=", or ")


def joined(words: list[str], *, last: str = " or ") -> str:
    """`a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}{last}{words[-1]}"


def _items_in_words(item: Shape) -> str:
    if isinstance(item, ListShape):
        return f" of lists{_items_in_words(item.item)}"
    return (
        f" of {in_words(item)}"
        if isinstance(item, TextShape) and item.form in _PLAIN_TEXT
        else f", each {in_words(item)}"
    )


def _keys_in_words(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return f"the keys {', '.join(quoted)}" if len(names) <= 4 else f"keys such as {', '.join(quoted[:3])}"


def _short_first(options: tuple[Shape, ...]) -> list[Shape]:
    """Sections last: what is short to write comes first."""
    return sorted(options, key=lambda option: isinstance(option, SectionShape))


def _range_in_words(bounds: Range) -> str:
    low, high = _plain(bounds.low), _plain(bounds.high)
    if low is None and high is None:
        return ""
    if high is None:
        return f" above {low}" if bounds.low_open else f" of at least {low}"
    if bounds.low_open:
        return f" above {low} and {'below' if bounds.high_open else 'at most'} {high}"
    return f" from {low} to {'below ' if bounds.high_open else ''}{high}"


def _plain(bound: float | None) -> str | None:
    return None if bound is None else f"{bound:g}"
