"""One key of a recipe: what it means, what it takes, how it is written, and the codes it is refused with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from launcher.reporting.columns import labelled
from launcher.reporting.examples import code_examples
from launcher.reporting.field_help import field_help, section_help
from launcher.reporting.recipe_reference import default_words
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import (
    ChoiceShape,
    EitherShape,
    FlagShape,
    Key,
    ListShape,
    NumberShape,
    QuantityShape,
    SectionShape,
    Shape,
    section_of,
    walk_in_sections,
)
from launcher.spec.words import in_words
from launcher.units.amounts import unit_words

__all__ = [
    "KeyExample",
    "KeyExplained",
    "choices_of",
    "explain_key",
    "key_lines",
    "key_paths",
    "meaning_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExample:
    """Lines of a recipe that write the key; `place` is `file:line`, empty where no file of the library has it."""

    place: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyExplained:
    """What is known of a key."""

    path: str
    section: str
    """The section it stands in; empty at the top level."""
    meaning: str
    takes: str
    units: tuple[str, ...]
    """Units that its amount may have."""
    default: str
    """As it would be written; empty where there is none."""
    required: bool
    keys: tuple[tuple[str, str], ...]
    """Keys below it, with their meaning."""
    example: KeyExample
    codes: tuple[str, ...]
    """Codes that a value of it can be refused or remarked with; those of every key left out."""


def key_paths() -> tuple[str, ...]:
    """Dotted paths of all keys of a recipe, those of stages last."""
    return tuple(_known())


def choices_of(path: str) -> tuple[str, ...]:
    """Words that a key may be given, of those that can be listed."""
    if path not in _known():
        return ()
    found: list[str] = []
    for shape in _options(_known()[path][1].shape):
        if isinstance(shape, ChoiceShape):
            found += map(str, shape.choices)
        elif isinstance(shape, FlagShape):
            found += ["true", "false"]
    return tuple(found)


def meaning_of(path: str) -> str:
    """The help of a key."""
    section, key = _known()[path]
    return field_help(section.kind)[key.name]


def explain_key(path: str, *, example: KeyExample) -> KeyExplained:
    """All that is known of a key."""
    section, key = _known()[path]
    inner = next((shape for shape in _options(key.shape) if isinstance(shape, SectionShape)), None)
    units = [unit for shape in _options(key.shape) for unit in _units(shape)]
    return KeyExplained(
        path=path,
        section=path.rpartition(".")[0],
        meaning=" ".join(
            [field_help(section.kind)[key.name], *([section_help(inner.kind)] if inner else [])]
        ),
        takes=in_words(key.shape),
        units=tuple(dict.fromkeys(units)),
        default=default_words(key),
        required=key.required,
        keys=tuple((item.name, field_help(inner.kind)[item.name]) for item in inner.keys) if inner else (),
        example=example,
        codes=tuple(_codes(path, key)),
    )


def key_lines(known: KeyExplained, *, also: str = "") -> list[str]:
    """The same for a screen. also: what else has that name."""
    where = f"in the section `{known.section}`" if known.section else "at the top level"
    lines = [f"{known.path}   key of a recipe, {where}", "", *labelled("means", [known.meaning], hang=0)]
    lines += labelled("takes", [known.takes], hang=0)
    lines += labelled("units", [", ".join(known.units)] if known.units else [], hang=0)
    default = "none, it must be written" if known.required else known.default
    lines += labelled("default", [default] if default else [])
    for name, meaning in known.keys:
        lines += labelled("keys" if name == known.keys[0][0] else "", [f"{name:<24}{meaning}"], hang=24)
    if known.example.lines:
        lines += ["", f"as in {known.example.place}" if known.example.place else "for example"]
        lines += [f"    {line}" for line in known.example.lines]
    if known.codes:
        lines += ["", *labelled("codes", [", ".join(known.codes)], hang=0)]
    return [*lines, *labelled("also", [also] if also else [], hang=0)]


@cache
def _known() -> dict[str, tuple[SectionShape, Key]]:
    found: dict[str, tuple[SectionShape, Key]] = {}
    for path, section, key in walk_in_sections(section_of(Recipe)):
        found.setdefault(path, (section, key))
    return dict(sorted(found.items(), key=lambda item: item[0].startswith("stages.")))


def _options(shape: Shape) -> Iterator[Shape]:
    match shape:
        case EitherShape(options=options):
            for option in options:
                yield from _options(option)
        case ListShape(item=item):
            yield shape
            yield from _options(item)
        case _:
            yield shape


def _units(shape: Shape) -> tuple[str, ...]:
    return unit_words(kind=shape.unit.kind) if isinstance(shape, QuantityShape) else ()


def _codes(path: str, key: Key) -> Iterator[str]:
    """First those that a real recipe gets at this key, then what its reader may say."""
    general = {"wrong-type", "unknown-key"}
    plain = path.removeprefix("stages.")
    for code, example in code_examples().items():
        if code not in general and plain in example.get("paths", ()):
            general.add(code)
            yield code
    shapes = list(_options(key.shape))
    read = {
        "missing-key": key.required,
        "bad-unit": any(isinstance(shape, QuantityShape) for shape in shapes),
        "bad-choice": any(isinstance(shape, ChoiceShape) for shape in shapes),
        "out-of-range": any(isinstance(shape, NumberShape | QuantityShape) for shape in shapes),
    }
    yield from (code for code, applies in read.items() if applies and code not in general)
    yield "wrong-type"
