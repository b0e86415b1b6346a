"""`--set path=value`: one more value in the tree, read like any other and told apart by its place."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.loading.found import Found
from launcher.loading.tree import Entry, Items, Keys, Node, Place, Scalar, below, shown_path
from launcher.loading.unknown import unknown_key_hint, unknown_path_hint
from launcher.loading.values import read_any_of
from launcher.loading.wrong import Wrong
from launcher.loading.yaml_text import NotYamlError, read_yaml
from launcher.spec.recipe import Recipe
from launcher.spec.shapes import (
    EitherShape,
    FreeShape,
    ListShape,
    MappingShape,
    PairShape,
    SectionShape,
    Shape,
    section_of,
)

__all__ = ["Override", "apply_override", "parse_override"]

_FORM = "write --set optimizer.learning_rate=3e-4"


@dataclass(frozen=True, slots=True)
class Override:
    """A value for a dotted path, from the command line."""

    path: str
    entry: Entry


class _BadOverrideError(ValueError):
    """No such place in a recipe."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_override(text: str, found: Found, *, turn: int) -> Override | None:
    """The override that `path=value`, the turn-th on the command line, says; None, and a problem, when it says none."""
    place = Place("command-line", f"--set {shown_path(text)}", turn=turn)
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not path:
        found.complain("bad-override", place, "expected path=value", hint=_FORM)
        return None
    try:
        node = read_yaml(value, place=place, found=found, path=path)
    except NotYamlError as error:
        message = f"`{shown_path(path)}`: the value is not YAML: {error}"
        found.complain("bad-override", place, message, path=path, hint=error.hint)
        return None
    return Override(path, Entry(node or Scalar(None, "", place), place))


def apply_override(root: Keys, override: Override, found: Found) -> Keys:
    """The tree with the value of one override in its place; keys that are absent above it are created."""
    try:
        node = _put(section_of(Recipe), root, override.path.split("."), "", override.entry)
    except _BadOverrideError as error:
        found.complain("bad-override", override.entry.key, str(error), path=override.path, hint=error.hint)
        return root
    assert isinstance(node, Keys)
    return node


def _put(shape: Shape, node: Node | None, names: list[str], path: str, value: Entry) -> Node:
    """`node` with the value at the path `names` below it."""
    if not names:
        return value.node
    name, rest = names[0], names[1:]
    inner_shape = _inner(shape, name, path, rest)
    inner = below(path, name)
    node = _opened(shape, node, value.key)
    if isinstance(node, Keys):
        old = node.entries.get(name)
        new = _put(inner_shape, old.node if old else None, rest, inner, value)
        key = old.key if old and rest else value.key
        return Keys({**node.entries, name: Entry(new, key)}, node.place)
    if isinstance(node, Items):
        index = _index(name, len(node.items), path)
        items = list(node.items)
        items[index] = _put(inner_shape, items[index], rest, inner, value)
        return Items(tuple(items), node.place)
    return node  # something else stands there; reading will complain about it where it stands


def _inner(shape: Shape, name: str, path: str, rest: list[str]) -> Shape:
    """The shape of what `name` leads to. Raises _BadOverrideError when it leads nowhere."""
    options = shape.options if isinstance(shape, EitherShape) else (shape,)
    for option in options:
        match option:
            case SectionShape() if key := option.key(name):
                return key.shape
            case ListShape(item=item) if name.isdecimal():
                return item
            case PairShape(items=items) if name.isdecimal() and int(name) < len(items):
                return items[int(name)]
            case MappingShape(value=inner) if name:
                return inner
            case FreeShape():
                return option
            case _:
                continue
    raise _BadOverrideError(
        f"a recipe has no `{shown_path(below(path, name))}`", _hint(options, name, path, rest)
    )


def _hint(options: tuple[Shape, ...], name: str, path: str, rest: list[str]) -> str:
    near = unknown_path_hint(".".join((below(path, name), *rest))) if rest else ""
    for option in options:
        if isinstance(option, SectionShape):
            return near or unknown_key_hint(name, shape=option, path=path, whole=True)
    if any(isinstance(option, ListShape | PairShape) for option in options):
        return near or f"items go by number: `{shown_path(path)}.0`"
    return near or f"`{shown_path(path)}` holds no keys"


def _opened(shape: Shape, node: Node | None, place: Place) -> Node:
    """What a value can be put into: the node itself, or new keys where nothing or `auto` stood."""
    if node is None:
        return Keys({}, place)
    if not isinstance(node, Scalar):
        return node
    left_out = node.value is None and node.text != ""
    replaced = isinstance(shape, EitherShape) and not isinstance(read_any_of(shape.options, node), Wrong)
    return Keys({}, place) if left_out or replaced else node


def _index(name: str, length: int, path: str) -> int:
    items = f"{length} item{'' if length == 1 else 's'}"
    if not name.isdecimal():  # the key may also hold a mapping, which has this name
        raise _BadOverrideError(
            f"`{shown_path(path)}` is a list of {items}, which has no `{name}`",
            f"write the whole of it: --set {shown_path(path)}={{{name}: ...}}",
        )
    index = int(name)
    if index < length:
        return index
    raise _BadOverrideError(
        f"`{shown_path(path)}` has {items}, counted from 0",
        f"write the whole list: --set {shown_path(path)}=[...]",
    )
