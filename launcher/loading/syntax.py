"""What is wrong with a text that is not YAML, in a sentence; the parser's own words name its rules, not the mistake."""

from __future__ import annotations

import re
from typing import NamedTuple

from launcher.loading.tree import MAX_DEPTH

__all__ = ["Complaint", "complaint", "unprintable"]

# What PyYAML and libyaml let through, see yaml/reader.py:Reader.NON_PRINTABLE (PyYAML@6.0.3).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Complaint(NamedTuple):
    """A sentence about a place in the text; line and column are 1-based."""

    line: int
    column: int
    message: str
    hint: str = ""


_TAB = ("a tab where spaces are expected", "indent with spaces")
_TEXT = ("this text has no closing quote", "add the quote")
_LIST = ("this list is not closed, or lacks a comma", "add `]` or `,`")
_KEYS = ("these keys are not closed, or lack a comma", "add `}` or `,`")
_STRAY = ("this is neither a key of what stands above nor part of a value", "check indentation and quotes")
_AFTER_END = ("something follows the end of the recipe", "keep one block of keys")
_NO_VALUE = ("a value is missing here", "write it, or delete the key")
_DEEP = (f"nested deeper than {MAX_DEPTH} levels", "")

# Words of the parsers (libyaml's and PyYAML's differ) and what they mean for the one who wrote the text.
_SENTENCES: dict[str, tuple[str, str]] = {
    "mapping values are not allowed": (
        "a `:` where no key can stand",
        "quote a value that holds `: `, and check the indentation",
    ),
    "could not find expected ':'": ("this line has no `:`", "write `key: value`"),
    "expected ',' or ']'": _LIST,
    "expected ',' or '}'": _KEYS,
    "found unexpected end of stream": _TEXT,
    "found unexpected document": _TEXT,
    "escape": ("an escape that YAML does not know", "use single quotes where a backslash means itself"),
    "did not find expected key": _STRAY,
    "expected <block end>": _STRAY,
    "did not find expected '-' indicator": _STRAY,
    "sequence entries are not allowed": (
        "a list cannot start here",
        "put the first `-` on its own line",
    ),
    "tab character": _TAB,
    "expected <document start>": _AFTER_END,
    "expected '<document start>'": _AFTER_END,
    "did not find expected node content": _NO_VALUE,
    "expected the node content": _NO_VALUE,
    "alphabetic or numeric": ("a value cannot start with `*` or `&`", "put the value in quotes"),
    "incompatible YAML document": ("a `%YAML` line for another version of YAML", "remove the line"),
    "exceeded maximum nesting level": _DEEP,
    "too deep": _DEEP,
}
_FROM_THE_START = (_TEXT, _LIST, _KEYS, _SENTENCES["could not find expected ':'"])
"""Mistakes that lie where the thing began, not where the reader gave up."""
_STARTERS = {
    "\t": _TAB,
    "@": ("a value cannot start with `@`", "put the value in quotes"),
    "`": ("a value cannot start with a backtick", "put the value in quotes"),
    "%": ("a value cannot start with `%`", "put the value in quotes"),
}


def complaint(error: Exception, text: str) -> Complaint:
    """The sentence for what the parser raised over `text`."""
    mark = getattr(error, "problem_mark", None)
    words = getattr(error, "problem", None) or str(error)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if "cannot start any token" in words:
        message, hint = _STARTERS.get(_character(text, line, column), ("a value cannot start here", ""))
        return Complaint(line + 1, column + 1, message, hint)
    found = next((sentence for part, sentence in _SENTENCES.items() if part in words), None)
    message, hint = found or (words.splitlines()[0], "")
    start = getattr(error, "context_mark", None)
    if found in _FROM_THE_START and start:
        if (start.line, start.column) != (line, column) and found is not _TEXT:
            message = f"{message}; reading ended at line {line + 1}, column {column + 1}"
        line, column = start.line, start.column
    return Complaint(line + 1, column + 1, message, hint)


def unprintable(text: str) -> Complaint | None:
    """The first control character or lone surrogate of a text; no parser would let it through."""
    found = _UNPRINTABLE.search(text)
    if found is None:
        return None
    before = text[: found.start()]
    line = len(re.findall("\r\n|[\n\r\x85\u2028\u2029]", before))
    column = len(re.split("[\n\r\x85\u2028\u2029]", before)[-1])
    return Complaint(
        line + 1,
        column + 1,
        f"the control character U+{ord(found[0]):04X}",
        "remove it; an editor may hide it",
    )


def _character(text: str, line: int, column: int) -> str:
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    return lines[line][column : column + 1] if line < len(lines) else ""
