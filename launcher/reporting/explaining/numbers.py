"""One number of a plan, or one placeholder of a script's arguments: what it is, and what a real plan has there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from launcher.reporting.columns import labelled
from launcher.reporting.field_help import field_help, section_help
from launcher.spec.plan import RunPlan

__all__ = [
    "NumberExplained",
    "PlaceholderExplained",
    "explain_number",
    "meaning_of_number",
    "number_lines",
    "number_paths",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberExplained:
    """What is known of one field of plan.json."""

    path: str
    meaning: str
    """Of the field, or of the block it is in where the name says the rest."""
    value: Any
    """What the example's plan has there."""
    origin: str
    """Where that comes from, as `plan --explain` says it; empty where nobody keeps it."""
    example: str
    """The recipe of that plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceholderExplained:
    """What is known of one placeholder."""

    name: str
    value: str | None
    """Its text in the example's plan; None where that plan has none."""
    example: str


def number_paths() -> tuple[str, ...]:
    """Dotted paths of all fields of a plan, items of lists without their numbers."""
    return tuple(_known())


def meaning_of_number(path: str) -> str:
    """The help of a field, or of its block where the name says the rest."""
    kind, name = _known()[path]
    return field_help(kind).get(name) or section_help(kind)


def explain_number(path: str, *, plan: RunPlan, example: str) -> NumberExplained:
    """All that is known of one field. plan: the one of `example`, a recipe of the library."""
    origin = plan.origins.get(path)
    said = (
        f"{origin.origin}: {origin.formula}" if origin and origin.formula else origin.origin if origin else ""
    )
    return NumberExplained(
        path=path,
        meaning=meaning_of_number(path),
        value=_value(plan.to_dict(), path),
        origin=said,
        example=example,
    )


def number_lines(known: NumberExplained | PlaceholderExplained, *, also: str = "") -> list[str]:
    """The same for a screen."""
    if isinstance(known, PlaceholderExplained):
        written = f'launch: {{args: ["--{known.name.replace("_", "-")}", "{{{known.name}}}"]}}'
        value = "no value in that plan" if known.value is None else f"`{known.value}`"
        lines = [
            f"{{{known.name}}}   placeholder in launch.args, launch.env, resume.args and templates",
            "",
            *labelled("as in", [written]),
            *labelled("gives", [f"{value} for {known.example}"]),
        ]
    else:
        lines = [f"{known.path}   number of a plan, `batchwright plan RECIPE --json`", ""]
        lines += labelled("means", [known.meaning], hang=0)
        lines += labelled("as in", [f"{_short(known.value)} for {known.example}"])
        lines += labelled("from", [known.origin] if known.origin else [])
    return [*lines, *labelled("also", [also] if also else [], hang=0)]


@cache
def _known() -> dict[str, tuple[type, str]]:
    return {path: (kind, name) for path, kind, name in _walk(RunPlan, "")}


def _walk(kind: type, prefix: str) -> Iterator[tuple[str, type, str]]:
    hints = get_type_hints(kind)
    for item in fields(kind):
        if item.metadata.get("internal"):
            continue
        path = f"{prefix}{item.name}"
        yield path, kind, item.name
        for inner in _blocks(hints[item.name]):
            yield from _walk(inner, f"{path}.")


def _blocks(annotation: Any) -> Iterator[type]:
    """Types of ours inside an annotation; those behind a name of a mapping left out."""
    if is_dataclass(annotation) and isinstance(annotation, type):
        yield annotation
    elif getattr(annotation, "__origin__", None) not in {Mapping, dict}:
        for part in get_args(annotation):
            yield from _blocks(part)


def _value(plain: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(plain, list):
            plain = plain[0] if plain else None
        plain = plain.get(part) if isinstance(plain, Mapping) else None
    return plain


def _short(value: Any) -> str:
    if value is None or value in ([], {}):
        return "nothing"
    if isinstance(value, Mapping):
        return f"keys {', '.join(value)}"
    if isinstance(value, list):
        return f"{len(value)} items"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
