"""JSON Schema (draft 2020-12) of a recipe, and of a user's own catalog, from the types that the reader uses.

For editors; the reader knows more.
"""

from __future__ import annotations

from typing import Any

from launcher.reporting.field_help import field_help, section_help
from launcher.spec.catalog import CatalogFile
from launcher.spec.cluster import Cluster
from launcher.spec.forms import FORMS
from launcher.spec.kinds import HasUnit, Range
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import (
    ChoiceShape,
    EitherShape,
    FlagShape,
    FreeShape,
    Key,
    ListShape,
    MappingShape,
    NumberShape,
    PairShape,
    QuantityShape,
    SectionShape,
    Shape,
    TextShape,
    section_of,
)
from launcher.spec.words import in_words
from launcher.units.amounts import amount_pattern

__all__ = ["catalog_schema", "cluster_schema", "recipe_schema"]


def recipe_schema() -> dict[str, Any]:
    """The schema of a whole recipe; every section once, under `$defs`."""
    return _schema_of(Recipe, title="Batchwright recipe")


def catalog_schema() -> dict[str, Any]:
    """The schema of a user's own `catalog/devices.yaml` and `catalog/models.yaml`."""
    return _schema_of(CatalogFile, title="Batchwright catalog")


def cluster_schema() -> dict[str, Any]:
    """The schema of a cluster file."""
    return _schema_of(Cluster, title="Batchwright cluster")


def _schema_of(kind: type, *, title: str) -> dict[str, Any]:
    root = section_of(kind)
    sections = {found.kind.__name__: found for key in root.keys for found in _sections(key.shape)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_section(root),
        "minProperties": 1,
        "$defs": {name: _section(sections[name]) for name in sorted(sections)},
    }


def _sections(shape: Shape) -> list[SectionShape]:
    """Every section at or below a shape."""
    match shape:
        case SectionShape(keys=keys):
            return [shape, *(found for key in keys for found in _sections(key.shape))]
        case EitherShape(options=options):
            return [section for option in options for section in _sections(option)]
        case ListShape(item=item):
            return _sections(item)
        case MappingShape(value=value):
            return _sections(value)
        case _:
            return []


def _section(shape: SectionShape) -> dict[str, Any]:
    required = [key.name for key in shape.keys if key.required]
    return {
        "description": section_help(shape.kind),
        "type": "object",
        "properties": {key.name: _key(key, field_help(shape.kind)[key.name]) for key in shape.keys},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _key(key: Key, text: str) -> dict[str, Any]:
    value = _value(key.shape)
    if key.nullable:
        options = value["anyOf"] if set(value) == {"anyOf"} else [value]
        value = {"anyOf": [*options, {"type": "null"}]}
    default = {} if key.required or not _is_plain(key.default) else {"default": key.default}
    return {"description": f"{text} Takes {in_words(key.shape)}.", **value, **default}


def _is_plain(default: Any) -> bool:
    return isinstance(default, str | int | float | bool)


def _value(shape: Shape) -> dict[str, Any]:
    match shape:
        case TextShape(form=form):
            return {"type": "string", "pattern": FORMS[form].pattern}
        case NumberShape(whole=whole, range=bounds):
            return {"type": "integer", **_bounds(bounds)} if whole else {"type": "number", **_bounds(bounds)}
        case FlagShape():
            return {"type": "boolean"}
        case ChoiceShape(choices=choices):
            return {"enum": list(choices)}
        case QuantityShape(unit=unit):
            return _quantity(unit)
        case ListShape(item=item):
            return {"type": "array", "items": _value(item)}
        case PairShape(items=items):
            parts = [_value(item) for item in items]
            return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts)}
        case MappingShape(key=key, value=value):
            return {"type": "object", "propertyNames": _value(key), "additionalProperties": _value(value)}
        case FreeShape():
            return {}
        case SectionShape(kind=kind):
            return {"$ref": f"#/$defs/{kind.__name__}"}
        case EitherShape(options=options):
            return {"anyOf": [_value(option) for option in options]}


def _quantity(unit: HasUnit) -> dict[str, Any]:
    text = {"type": "string", "pattern": amount_pattern(kind=unit.kind)}
    return {"anyOf": [{"type": "integer", "minimum": 0 if unit.zero else 1}, text]} if unit.bare else text


def _bounds(bounds: Range) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if bounds.low is not None:
        found["exclusiveMinimum" if bounds.low_open else "minimum"] = bounds.low
    if bounds.high is not None:
        found["exclusiveMaximum" if bounds.high_open else "maximum"] = bounds.high
    return found
