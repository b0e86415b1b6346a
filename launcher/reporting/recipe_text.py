"""The text of a recipe file: keys in the order of the reference, values so that the strict reader reads them back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher.spec.recipe import Recipe
from launcher.spec.shapes import SectionShape, Shape, section_of
from launcher.units import Amount

__all__ = ["recipe_text", "scalar_text"]

_WIDTH = 100
_COMMENT_AT = 40
_KEY = re.compile(r"[A-Za-z_][\w.-]{0,99}", re.ASCII)
_AMOUNT = re.compile(r"[0-9][0-9._]*[A-Za-z]{0,2} [A-Za-z%][A-Za-z/]*|[0-9.]+%|[a-z]+:[A-Za-z_]\w*", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_./][\w./@%+=~^-]*(?: [\w./@%+=~^-]+)*", re.ASCII)
_READ_AS_OTHERWISE = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some YAML reader takes for something else: quoted, so that every reader reads the same."""


def recipe_text(
    values: Mapping[str, Any], *, comments: Mapping[str, str] | None = None, header: Sequence[str] = ()
) -> str:
    """The file. values: nested keys; comments: dotted path -> what stands behind `#`; header: lines at the top."""
    lines = [f"# {line}".rstrip() for line in header]
    ordered = _in_order(values, section_of(Recipe))
    previous = False
    for key, value in ordered.items():
        is_block = isinstance(value, Mapping) and bool(value)
        if lines and (is_block or previous):
            lines.append("")
        previous = is_block
        lines.extend(_entry(key, value, key, "", comments or {}))
    return "\n".join(lines) + "\n"


def scalar_text(value: Any) -> str:
    """One value on one line: plain where every reader agrees on it, else in double quotes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Amount):
        return (
            value.text
            if re.fullmatch(r"[0-9][\w.+%-]*(?: [\w/%]+)?", value.text, re.ASCII)
            else _quoted(value.text)
        )
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)}: {scalar_text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(scalar_text, value))}]"
    assert isinstance(value, str)
    return value if _is_plain(value) or _AMOUNT.fullmatch(value) else _quoted(value)


def _entry(key: str, value: Any, path: str, indent: str, comments: Mapping[str, str]) -> Iterator[str]:
    """The lines of one key: a value, a block of keys, or a list with one item a line where it is long."""
    name = f"{indent}{_key(key)}:"
    comment = comments.get(path, "")
    if isinstance(value, Mapping) and value:
        yield _with_comment(name, comment)
        for inner, item in value.items():
            yield from _entry(str(inner), item, f"{path}.{inner}", f"{indent}  ", comments)
        return
    line = f"{name} {scalar_text(value)}"
    if not isinstance(value, list | tuple) or not value:
        yield _with_comment(line, comment)
    elif any(isinstance(item, Mapping) for item in value):
        yield _with_comment(name, comment)
        for item in value:
            yield f"{indent}  - {scalar_text(item)}"
    elif len(line) <= _WIDTH:
        yield _with_comment(line, comment)
    else:
        yield _with_comment(f"{name} [", comment)
        yield from _rows(list(map(scalar_text, value)), f"{indent}  ")
        yield f"{indent}  ]"


def _rows(items: list[str], indent: str) -> Iterator[str]:
    """Items of a list with commas, as many to a line as there is room for."""
    row = ""
    for item in items:
        if row and len(indent) + len(row) + len(item) + 2 > _WIDTH:
            yield f"{indent}{row}"
            row = ""
        row += f"{' ' if row else ''}{item},"
    yield f"{indent}{row}"


def _with_comment(line: str, comment: str) -> str:
    printable = "".join(each if each.isprintable() else " " for each in comment)
    return f"{line:<{_COMMENT_AT}} # {printable}" if printable else line


def _in_order(values: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """The same keys in the order of the reference; unknown ones, which only free mappings have, stay where they are."""
    section = _section(shape)
    if section is None:
        return dict(values)
    known = [key for key in section.keys if key.name in values]
    ordered = {}
    for key in known:
        value = values[key.name]
        ordered[key.name] = _in_order(value, key.shape) if isinstance(value, Mapping) else value
    return {**ordered, **{key: value for key, value in values.items() if key not in ordered}}


def _section(shape: Shape) -> SectionShape | None:
    options = getattr(shape, "options", (shape,))
    return next((option for option in options if isinstance(option, SectionShape)), None)


def _key(key: Any) -> str:
    text = str(key)
    return text if _KEY.fullmatch(text) and text.lower() not in _READ_AS_OTHERWISE else _quoted(text)


def _is_plain(text: str) -> bool:
    """Letters, paths and the like; whatever might be a number, a date, a word of YAML or its punctuation is not."""
    return (
        _PLAIN.fullmatch(text) is not None
        and text.lower() not in _READ_AS_OTHERWISE
        and not re.fullmatch(r"[.eE_0-9+-]+|\.(?:inf|nan)", text, re.IGNORECASE)
        and text not in {".", "..", "=", "~"}
    )


def _quoted(text: str) -> str:
    """In double quotes, with YAML's escapes where a character would not print."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(
        character, f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
    )
