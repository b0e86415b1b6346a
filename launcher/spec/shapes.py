"""Annotations of the recipe types as values that can be walked, by reader, JSON Schema and reference alike."""

from __future__ import annotations

import types
from collections.abc import Hashable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from launcher.spec.kinds import HasUnit, OrWritten, Range

__all__ = [
    "ChoiceShape",
    "EitherShape",
    "FlagShape",
    "FreeShape",
    "Key",
    "ListShape",
    "MappingShape",
    "NumberShape",
    "PairShape",
    "QuantityShape",
    "SectionShape",
    "Shape",
    "TextShape",
    "section_of",
    "shape_of",
    "walk",
    "walk_in_sections",
]


@dataclass(frozen=True, slots=True)
class TextShape:
    """Text of one form of launcher.spec.forms."""

    form: str = ""


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A whole number or any finite one, inside a range."""

    whole: bool
    range: Range


@dataclass(frozen=True, slots=True)
class FlagShape:
    """true or false."""


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One of a few words or numbers."""

    choices: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class QuantityShape:
    """An amount with a unit."""

    unit: HasUnit


@dataclass(frozen=True, slots=True)
class ListShape:
    """Any number of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class PairShape:
    """A fixed number of items."""

    items: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class MappingShape:
    """Keys of the writer's choice, values of one shape."""

    key: TextShape
    value: Shape


@dataclass(frozen=True, slots=True)
class FreeShape:
    """Anything that YAML can say; handed on to another tool."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section; `default` is MISSING when it must be written, `nullable` when `null` leaves it out."""

    name: str
    shape: Shape
    default: Any
    nullable: bool

    @property
    def required(self) -> bool:
        return self.default is MISSING


@dataclass(frozen=True, slots=True)
class SectionShape:
    """The keys of one recipe type."""

    kind: type
    keys: tuple[Key, ...]

    def key(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.name == name), None)


@dataclass(frozen=True, slots=True)
class EitherShape:
    """One of several shapes; at most one of them is a section."""

    options: tuple[Shape, ...]


Shape = (
    TextShape
    | NumberShape
    | FlagShape
    | ChoiceShape
    | QuantityShape
    | ListShape
    | PairShape
    | MappingShape
    | FreeShape
    | SectionShape
    | EitherShape
)

_PLAIN: dict[Any, Shape] = {
    str: TextShape(),
    int: NumberShape(True, Range()),
    float: NumberShape(False, Range()),
    bool: FlagShape(),
    Any: FreeShape(),
}


@cache
def shape_of(annotation: Any) -> Shape:
    """The shape an annotation of launcher.spec stands for; `None` in a union is the key's business, see Key."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(*get_args(annotation))
    if origin in {Union, types.UnionType}:
        options = tuple(shape_of(option) for option in get_args(annotation) if option is not type(None))
        return options[0] if len(options) == 1 else EitherShape(options)
    if origin is Literal:
        return ChoiceShape(get_args(annotation))
    if origin is tuple:
        inner = get_args(annotation)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return ListShape(shape_of(inner[0]))
        return PairShape(tuple(shape_of(part) for part in inner))
    if origin is dict:
        key, value = (shape_of(part) for part in get_args(annotation))
        assert isinstance(key, TextShape)
        return MappingShape(key, value)
    if is_dataclass(annotation) and isinstance(annotation, type):
        return section_of(annotation)
    return _PLAIN[annotation]


@cache
def section_of(kind: type) -> SectionShape:
    """The keys of a recipe type, in their order; internal fields are no keys."""
    return SectionShape(
        kind,
        tuple(
            Key(
                name=item.name,
                shape=shape_of(cast("Hashable", item.type)),
                default=item.default_factory() if item.default_factory is not MISSING else item.default,
                nullable=type(None) in get_args(item.type),
            )
            for item in fields(kind)
            if not item.metadata.get("internal")
        ),
    )


def walk(shape: Shape) -> Iterator[tuple[str, Key]]:
    """Every key below a shape with its dotted path; items of lists stand at the path of the list."""
    return ((path, key) for path, _, key in walk_in_sections(shape))


def walk_in_sections(shape: Shape, prefix: str = "") -> Iterator[tuple[str, SectionShape, Key]]:
    """The same with the section that each key belongs to."""
    match shape:
        case SectionShape(keys=keys):
            for key in keys:
                path = f"{prefix}.{key.name}" if prefix else key.name
                yield path, shape, key
                yield from walk_in_sections(key.shape, path)
        case EitherShape(options=options):
            for option in options:
                yield from walk_in_sections(option, prefix)
        case ListShape(item=item):
            yield from walk_in_sections(item, prefix)
        case _:
            return


def _annotated(base: Any, *notes: Any) -> Shape:
    for note in notes:
        if isinstance(note, HasUnit):
            return QuantityShape(note)
        if isinstance(note, Range):
            return NumberShape(base is int, note)
        if isinstance(note, str):
            return TextShape(note)
        if isinstance(note, OrWritten):
            return EitherShape((shape_of(base), *map(shape_of, note.annotations)))
    return shape_of(base)
