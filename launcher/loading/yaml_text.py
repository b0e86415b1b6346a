"""YAML text to a tree. Events, not nodes: they still know anchors and tags, and no alias is ever followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from launcher.loading.found import Found
from launcher.loading.scalars import Fault, resolve, unfit
from launcher.loading.syntax import complaint, unprintable
from launcher.loading.tree import (
    MAX_DEPTH,
    Broken,
    Entry,
    Items,
    Keys,
    Node,
    Place,
    Scalar,
    below,
    shortened,
    shown_path,
)

__all__ = ["NotYamlError", "read_yaml"]

# libyaml's reader is ten times faster than Python's and gives the same marks.
_FASTEST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYamlError(ValueError):
    """The text is not YAML: where, a sentence, and a hint."""

    def __init__(self, place: Place, message: str, hint: str) -> None:
        super().__init__(message)
        self.place, self.hint = place, hint


class _TooDeepError(Exception):
    """Looks like the parser's own errors, so that syntax.complaint reads it."""

    problem = "too deep"

    def __init__(self, mark: Any) -> None:
        self.problem_mark = mark


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """A text being read, and the place of the whole."""

    text: str
    whole: Place
    found: Found

    def place(self, mark: Any) -> Place:
        return _inside(self.whole, mark.line + 1, mark.column + 1)


def read_yaml(
    text: str, *, place: Place, found: Found, path: str = "", reader: Any = _FASTEST
) -> Node | None:
    """The first document of a text; None when there is none.

    place: of the text as a whole; path: its dotted path in the recipe; reader: libyaml's or Python's.
    Whatever no recipe may hold (tags, aliases, a key twice, `010`) is a problem and leaves Broken in the tree.
    Raises NotYamlError.
    """
    inside = Found()  # forgotten when the text is not YAML: one mistake breeds many
    source = _Text(text=text, whole=place, found=inside)
    bad = unprintable(text)
    if bad is None:
        events = reader(text)
        try:
            root = _document(source, _events(events), path)
        except (yaml.YAMLError, _TooDeepError, ValueError, OverflowError) as error:
            bad = complaint(error, text)
        else:
            found.add(inside)
            return root
        finally:
            events.dispose()
    message = bad.message.partition(";")[0] if place.origin == "command-line" else bad.message
    raise NotYamlError(_inside(place, bad.line, bad.column), message, bad.hint)


def _inside(whole: Place, line: int, column: int) -> Place:
    """A place in a text; one word of a command line has no lines worth naming."""
    return whole if whole.origin == "command-line" else replace(whole, line=line, column=column)


def _events(reader: Any) -> Iterator[Any]:
    while reader.check_event():
        yield reader.get_event()


def _document(source: _Text, events: Iterator[Any], path: str) -> Node | None:
    root: Node | None = None
    for event in events:
        if not isinstance(event, yaml.DocumentStartEvent):
            continue
        if root is not None:
            source.found.complain(
                "several-documents",
                source.place(event.start_mark),
                "a second document starts here",
                hint="keep one recipe per file",
            )
            break
        root = _node(source, events, next(events), path, 1)
    return root


def _node(source: _Text, events: Iterator[Any], event: Any, path: str, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _TooDeepError(event.start_mark)
    place = source.place(event.start_mark)
    refused = _refused(source, event, path)
    if isinstance(event, yaml.AliasEvent):
        return Broken(place)
    if isinstance(event, yaml.SequenceStartEvent):
        return _items(source, events, place, path, depth)
    if isinstance(event, yaml.MappingStartEvent):
        return _keys(source, events, place, path, depth)
    return Broken(place) if refused else _scalar(source, event, place, path)


def _refused(source: _Text, event: Any, path: str) -> bool:
    """Complains about anchors, aliases and tags; whether there was one."""
    if isinstance(event, yaml.AliasEvent):
        message, hint = f"alias `*{event.anchor}`", "write the value out"
    elif event.anchor is not None:
        message, hint = f"anchor `&{event.anchor}`", "drop it, and write the value out where it is used"
    elif event.tag is not None:
        written = event.tag.replace("tag:yaml.org,2002:", "!!")
        message, hint = f"tag `{written}`", "drop it; quotes make text"
    else:
        return False
    message = f"{message}: anchors, aliases and tags are not read"
    source.found.complain("yaml-tag", source.place(event.start_mark), message, path=path, hint=hint)
    return True


def _scalar(source: _Text, event: Any, place: Place, path: str) -> Node:
    if event.style:  # quoted or a block: text, whatever it looks like
        if reason := unfit(event.value):
            source.found.complain("wrong-type", place, f"`{shown_path(path)}`: {reason}", path=path)
            return Broken(place)
        written = source.text[event.start_mark.index : event.end_mark.index]
        return Scalar(event.value, written.strip(), place)
    value = resolve(event.value)
    if isinstance(value, Fault):
        message = f"`{shown_path(path)}: {shortened(event.value)}`: expected {value.expected}"
        source.found.complain(value.code, place, message, path=path, hint=value.hint)
        return Broken(place)
    if event.start_mark.line != event.end_mark.line:
        message = (
            f"`{shown_path(path)}: {shortened(event.value)}`: the next line was read as part of this value"
        )
        source.found.complain(
            "yaml-syntax", place, message, path=path, hint="check its indentation, or use quotes"
        )
        return Broken(place)
    return Scalar(value, event.value, place)


def _items(source: _Text, events: Iterator[Any], place: Place, path: str, depth: int) -> Items:
    items: list[Node] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        items.append(_node(source, events, event, below(path, str(len(items))), depth + 1))
    return Items(tuple(items), place)


def _keys(source: _Text, events: Iterator[Any], place: Place, path: str, depth: int) -> Keys:
    entries: dict[str, Entry] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        name = _key(source, events, event, path, depth)
        key_place = source.place(event.start_mark)
        node = _node(source, events, next(events), below(path, name or "?"), depth + 1)
        if name is None:  # it may have been any of the keys that belong here
            source.found.lost.add(path)
            continue
        if name in entries:
            _complain_twice(source, key_place, below(path, name), entries[name])
        else:
            entries[name] = Entry(node, key_place)
    return Keys(entries, place)


def _key(source: _Text, events: Iterator[Any], event: Any, path: str, depth: int) -> str | None:
    """A key as text, whatever it looks like; None, and a problem, where it cannot be one."""
    place = source.place(event.start_mark)
    if not isinstance(event, yaml.ScalarEvent):
        node = _node(source, events, event, below(path, "?"), depth + 1)
        if not isinstance(node, Broken):
            source.found.complain("wrong-type", place, "a key must be a word, not a list or keys", path=path)
        return None
    if _refused(source, event, path):
        return None
    if event.value == "<<" and not event.style:
        message = "merge key `<<`: anchors, aliases and tags are not read"
        source.found.complain("yaml-tag", place, message, path=path, hint="write the keys out")
        return None
    if not event.value or (reason := unfit(event.value)):
        message = f"a key: {reason}" if event.value else "a key must not be empty"
        source.found.complain("wrong-type", place, message, path=path)
        return None
    return str(event.value)


def _complain_twice(source: _Text, place: Place, path: str, first: Entry) -> None:
    where = f" at line {first.key.line}, column {first.key.column}" if first.key.line else ""
    source.found.complain(
        "duplicate-key",
        place,
        f"key `{shown_path(path)}` is already written{where}",
        path=path,
        hint="delete one of the two",
    )
