"""Plain values as YAML that every reader takes the same way; written without a YAML library.

A word that could be anything but itself to some reader is quoted as JSON is, which is YAML too; a text of several
lines stands as it is where nothing in it needs an escape. YAML knows no surrogate pairs, so what lies beyond U+FFFF is
one escape of eight digits.

Source: yaml.org/spec/1.2.2, sections 5.7 (escapes), 7.3.1 (double-quoted), 8.1.2 (literal).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["manifest_text"]

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*", re.ASCII)
_RESERVED = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""Of YAML 1.1, which is what Kubernetes' own reader goes by."""
_LITERAL = re.compile(r"[!-~][ -~]*\n(?:[ -~]*\n)*", re.ASCII)
_ESCAPED_PLACE = re.compile(r"\\u0000([a-z-]+(?:\|[a-z]+)*)\\u0000")


def manifest_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """The text of a file with these documents in their order."""
    return "---\n".join("".join(f"{line}\n" for line in _mapping(each, 0)) for each in documents)


def _mapping(values: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in values.items():
        yield from _entry(f"{'  ' * depth}{_word(str(key))}:", value, depth + 1)


def _entry(start: str, value: Any, depth: int) -> Iterator[str]:
    """One `key:` with its value, or with the lines below it."""
    if isinstance(value, Mapping) and value:
        yield start
        yield from _mapping(value, depth)
    elif isinstance(value, list | tuple) and value:
        yield start
        for item in value:
            yield from _item(item, depth)
    elif isinstance(value, str) and _LITERAL.fullmatch(value) and not value.endswith("\n\n"):
        yield f"{start} |"
        yield from (f"{'  ' * depth}{line}" if line else "" for line in value[:-1].split("\n"))
    else:
        yield f"{start} {_scalar(value)}"


def _item(value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, Mapping) and value:
        first, *rest = _mapping(value, depth + 1)
        yield f"{indent}- {first.lstrip(' ')}"
        yield from rest
    elif isinstance(value, list | tuple) and value:
        yield f"{indent}-"
        for item in value:
            yield from _item(item, depth + 1)
    else:
        yield f"{indent}- {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, list | tuple):
        return "[]"
    return json.dumps(value)


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    # a placeholder inside JSON inside this text would stand two quotings deep, where nobody looks for it
    text = _ESCAPED_PLACE.sub("\0\\1\0", text)
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if " " <= character <= "~":
        return f"\\{character}" if character in '"\\' else character
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
