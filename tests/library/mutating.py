"""One change to one key of a YAML text: the key deleted, renamed, or its value replaced; all else letter by letter."""

from typing import NamedTuple

import yaml

OTHERS = ("text", "7", '"7"', "1.5", "true", "[]", "[text]", "[7]", "{}", "{x: 1}", "null", "-3")


class Key(NamedTuple):
    """One written key."""

    path: tuple[str | int, ...]
    line: int
    sections: tuple[int, ...]
    """Lines of the keys that it stands below."""
    start: int
    name_end: int
    value_start: int
    value_end: int
    flow: bool
    """Inside braces."""

    @property
    def name(self):
        return str(self.path[-1])

    @property
    def dotted(self):
        """As the tables of keys have it, without numbers of list items."""
        return ".".join(part for part in self.path if isinstance(part, str))


class Mutant(NamedTuple):
    """A text in which one key differs."""

    kind: str
    key: Key
    text: str
    value: str = ""


def keys_of(text):
    """Every key of a YAML text."""
    return list(_walk(yaml.compose(text, Loader=yaml.SafeLoader), (), ()))


def mutants(text, *, others=OTHERS):
    """All mutants. others: function of a key to the values to put in its place, or the values."""
    for key in keys_of(text):
        yield Mutant("delete", key, deleted(text, key))
        yield Mutant("rename", key, f"{text[: key.name_end]}x{text[key.name_end :]}")
        written = text[key.value_start : key.value_end]
        for other in others(key) if callable(others) else others:
            if other != written:
                yield Mutant("retype", key, replaced(text, key, other), other)


def deleted(text, key):
    """The text without a key and its value."""
    if key.flow:
        before, after = text[: key.start], text[key.value_end :]
        if after.lstrip().startswith(","):
            return before + after.lstrip()[1:].lstrip(" ")
        return before.rstrip().removesuffix(",") + after
    begin = text.rfind("\n", 0, key.start) + 1
    if text[begin : key.start].strip():  # first key of a list item: `- until: 3`
        return text[: key.start] + text[_end_of_block(text, key) :].lstrip(" ")
    return text[:begin] + text[_end_of_block(text, key) :]


def replaced(text, key, other):
    """The text with another value."""
    if "\n" in text[key.name_end : key.value_start]:  # a block below the key
        rest = text[_end_of_block(text, key) :]
        return f"{text[: key.name_end]}: {other}\n{rest}"
    return text[: key.value_start] + other + text[key.value_end :]


def _end_of_block(text, key):
    """Where the line after the last one of the value begins."""
    end = text.find("\n", key.value_end)
    return len(text) if end < 0 else end + 1


def _walk(node, path, sections):
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            begin, end = name.start_mark, name.end_mark
            key = Key(
                path=(*path, name.value),
                line=begin.line + 1,
                sections=sections,
                start=begin.index,
                name_end=end.index,
                value_start=value.start_mark.index,
                value_end=_end(value),
                flow=bool(node.flow_style),
            )
            yield key
            yield from _walk(value, key.path, (*sections, key.line))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index), sections)


def _end(node):
    """Index behind the last letter of a value; a block node's own mark is behind the comments that follow it."""
    if getattr(node, "flow_style", True) or isinstance(node, yaml.ScalarNode):
        return node.end_mark.index
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)
