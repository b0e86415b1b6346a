"""A tree against the shapes of the recipe types: the typed value, and every problem on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.loading.found import Found
from launcher.loading.tree import Broken, Entry, Items, Keys, Node, Place, Scalar, below, shown, shown_path
from launcher.loading.unknown import meant_instead, unknown_key_hint
from launcher.loading.values import read_any_of
from launcher.loading.wrong import Wrong
from launcher.spec.shapes import (
    ChoiceShape,
    EitherShape,
    FreeShape,
    Key,
    ListShape,
    MappingShape,
    PairShape,
    SectionShape,
    Shape,
    TextShape,
)
from launcher.spec.words import in_words

__all__ = ["BAD", "read"]


class _Bad:
    """Stands for a value that a problem has been reported for."""


BAD = _Bad()


def read(shape: Shape, entry: Entry, path: str, found: Found) -> Any:
    """The value of a node by its shape; BAD, with at least one problem in `found`, when it has none."""
    node = entry.node
    if isinstance(node, Broken):
        return BAD
    if path:
        found.mark(path, entry)
    options = shape.options if isinstance(shape, EitherShape) else (shape,)
    free = next((option for option in options if isinstance(option, FreeShape)), None)
    if free is not None:
        return _free(node, path, found)
    if isinstance(node, Scalar):
        return _scalar(options, shape, entry, path, found)
    for option in options:
        match option, node:
            case ListShape(item=item), Items():
                return _list(item, node, path, found)
            case PairShape(items=items), Items() if len(items) == len(node.items):
                return _together(items, node, path, found)
            case MappingShape(), Keys():
                return _mapping(option, node, path, found)
            case SectionShape(), Keys() if not _is_item(node, options, option):
                return _section(option, node, entry.key, path, found)
            case _:
                continue
    return _refuse(Wrong("wrong-type", hint=_single_hint(options, node)), shape, node, path, found)


def _scalar(options: tuple[Shape, ...], shape: Shape, entry: Entry, path: str, found: Found) -> Any:
    node = entry.node
    assert isinstance(node, Scalar)
    if node.text == "":
        hint = (
            "indent what belongs to it, or delete the line"
            if _has_keys(options)
            else "write `null` to leave it out"
        )
        message = f"`{shown_path(path)}:` has no value: expected {in_words(shape)}"
        found.complain("wrong-type", node.place, message, path=path, hint=hint)
        return BAD
    value = read_any_of(options, node)
    if not isinstance(value, Wrong):
        return value
    return _refuse(
        value._replace(hint=value.hint or _structure_hint(options, node, path)), shape, node, path, found
    )


def _is_item(node: Keys, options: tuple[Shape, ...], section: SectionShape) -> bool:
    """Whether keys are those of an item of a list that may stand there, too, which somebody forgot to list."""
    items = [option.item for option in options if isinstance(option, ListShape)]
    return any(
        isinstance(item, SectionShape)
        and all(item.key(name) and not section.key(name) for name in node.entries)
        for item in items
    )


def _refuse(wrong: Wrong, shape: Shape, node: Node, path: str, found: Found) -> _Bad:
    message = f"`{shown_path(path)}: {shown(node)}`: expected {wrong.expected or in_words(shape)}"
    found.complain(wrong.code, node.place, message, path=path, hint=wrong.hint)
    return BAD


def _has_keys(options: tuple[Shape, ...]) -> bool:
    return any(isinstance(option, SectionShape | MappingShape) for option in options)


def _single_hint(options: tuple[Shape, ...], node: Node) -> str:
    """How to write a list of one whose item alone would be right, or a placeholder that YAML took for keys."""
    match node:
        case Items(items=(Scalar() as item,)) if not isinstance(read_any_of(options, item), Wrong):
            return f"write `{shown(item)}` without brackets"
        case Keys(entries=entries) if len(entries) == 1:
            ((name, entry),) = entries.items()
            text = Scalar(f"{{{name}}}", f"{{{shown_path(name)}}}", node.place)
            if entry.node == Scalar(None, "", entry.node.place) and not isinstance(
                read_any_of(options, text), Wrong
            ):
                return f'write `"{text.text}"` with quotes'
    return ""


def _structure_hint(options: tuple[Shape, ...], node: Scalar, path: str) -> str:
    """How to write a single value where a list or keys are wanted, if it would be right inside."""
    for option in options:
        if isinstance(option, ListShape) and not isinstance(read_any_of((option.item,), node), Wrong):
            return f"write `[{node.text}]`"
        if isinstance(option, SectionShape) and len(options) == 1:
            for key in option.keys:
                if isinstance(key.shape, ChoiceShape) and node.value in key.shape.choices:
                    return f"did you mean `{below(path, key.name)}: {node.text}`?"
    return ""


def _list(item: Shape, node: Items, path: str, found: Found) -> Any:
    return _together((item,) * len(node.items), node, path, found)


def _together(shapes: tuple[Shape, ...], node: Items, path: str, found: Found) -> Any:
    values = tuple(
        read(shape, Entry(item, item.place), below(path, str(index)), found)
        for index, (shape, item) in enumerate(zip(shapes, node.items, strict=True))
    )
    return BAD if BAD in values else values


def _mapping(shape: MappingShape, node: Keys, path: str, found: Found) -> Any:
    values = {}
    for name, entry in node.entries.items():
        wrong = read_any_of((shape.key,), Scalar(name, name, entry.key))
        if isinstance(wrong, Wrong):
            message = f"key `{shown_path(below(path, name))}`: expected {in_words(shape.key)}"
            found.complain("wrong-type", entry.key, message, path=below(path, name))
        values[name] = read(shape.value, entry, below(path, name), found)
    return BAD if BAD in values.values() else values


def _free(node: Node, path: str, found: Found) -> Any:
    """Whatever stands there, as it is."""
    match node:
        case Scalar(value=value):
            return value
        case Items(items=items):
            return _together((FreeShape(),) * len(items), node, path, found)
        case Keys():
            return _mapping(MappingShape(TextShape(), FreeShape()), node, path, found)
        case Broken():
            return BAD


def _section(shape: SectionShape, node: Keys, place: Place, path: str, found: Found) -> Any:
    values: dict[str, Any] = {}
    for name, entry in node.entries.items():
        key = shape.key(name)
        inner = below(path, name)
        if key is None:
            where = f" in `{shown_path(path)}`" if path else ""
            hint = unknown_key_hint(name, shape=shape, path=path)
            found.complain(
                "unknown-key", entry.key, f"unknown key `{shown_path(name)}`{where}", path=inner, hint=hint
            )
            if found.guesses:
                meant = meant_instead(name, shape=shape, path=path) or _may_be(entry, shape, node, path)
                found.lost.update(set(meant) - {below(path, written) for written in node.entries})
        elif not _left_out(key, entry.node):
            values[name] = read(key.shape, entry, inner, found)
    if node.entries and not any(shape.key(name) for name in node.entries):
        found.lost.add(path)  # whoever wrote it meant something else altogether
    missing = [key for key in shape.keys if key.required and key.name not in node.entries]
    for key in missing:
        inner = below(path, key.name)
        message = f"`{shown_path(inner)}` is missing: expected {in_words(key.shape)}"
        found.complain("missing-key", place, message, path=inner, hint=f"add `{key.name}`")
    return _without_bad(shape, values, path, found)


def _without_bad(shape: SectionShape, values: Mapping[str, Any], path: str, found: Found) -> Any:
    """The section with the keys that could be read: what is wrong with the others is no reason to stop here."""
    good = {name: value for name, value in values.items() if value is not BAD}
    for name in values.keys() - good.keys():
        inner = below(path, name)
        found.lost.add(inner)
        found.marks.pop(inner, None)
    if any(key.required and key.name not in good for key in shape.keys):
        return BAD
    return shape.kind(**good)


def _may_be(entry: Entry, shape: SectionShape, node: Keys, path: str) -> list[str]:
    """Absent keys of a section that could be meant by an unknown one: those that its value would be right for."""
    return [
        below(path, key.name)
        for key in shape.keys
        if key.name not in node.entries and _fits(key.shape, entry, path)
    ]


def _fits(shape: Shape, entry: Entry, path: str) -> bool:
    tried = Found(guesses=False)
    return read(shape, entry, path, tried) is not BAD and not tried.problems()


def _left_out(key: Key, node: Node) -> bool:
    """Whether `null` is written for a key that may be absent."""
    return key.nullable and isinstance(node, Scalar) and node.value is None and node.text != ""
