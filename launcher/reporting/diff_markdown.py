"""A difference as Markdown for a pull-request comment; nothing of a recipe's text is markup there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.planning.comparing.comparing import Comparison
from launcher.reporting.diff_words import Sentence, answer, key_sentences, problem_sentences, sentences

__all__ = ["markdown_lines"]

_MOST = 30
"""Rows of the table that is always open; the rest is folded."""
_BEFORE_PIPE = re.compile(r"(\\*)\|")


def markdown_lines(comparison: Comparison) -> list[str]:
    """A heading, the answer, a table, and the recipe's keys and problems folded below it."""
    said, keys, problems = sentences(comparison), key_sentences(comparison), problem_sentences(comparison)
    lines = [
        f"### Batchwright: {_code(comparison.before.name)} to {_code(comparison.after.name)}",
        "",
        f"**{_escaped(answer(comparison))}**",
    ]
    if said[:_MOST]:
        lines += ["", *_table(said[:_MOST])]
    if said[_MOST:]:
        lines += _folded(f"{len(said) - _MOST} more", _table(said[_MOST:]))
    if keys:
        rows = ["| key | before | after |", "|---|---|---|"]
        rows += [f"| {_subject(key)} | {_code(key.before)} | {_code(key.after)} |" for key in keys]
        lines += _folded(f"{_many(len(keys), 'key')} of the recipe", rows)
    if problems:
        named = [f"- {_escaped(each.subject)}: {_code(each.reason)}" for each in problems]
        lines += _folded(_many(len(problems), "warning or note", "warnings and notes"), named)
    return lines


def _table(said: Sequence[Sentence]) -> list[str]:
    rows = ["| what | before | after | why |", "|---|---|---|---|"]
    for each in said:
        if each.change:
            rows.append(
                f"| {_subject(each)} | {_code(each.before)} | {_code(each.after)} | {_reason(each.reason)} |"
            )
        else:
            rows.append(f"| {_subject(each)} | | | {_reason(each.reason)} |")
    return rows


def _folded(title: str, inner: Sequence[str]) -> list[str]:
    return ["", f"<details><summary>{title}</summary>", "", *inner, "", "</details>"]


def _subject(sentence: Sentence) -> str:
    """Our own words as they are; a path of the recipe may hold anything."""
    subject = sentence.subject
    return subject if re.fullmatch(r"[A-Za-z0-9 -]+", subject) else _code(subject)


def _reason(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9 .,;+%-]*", text) else _code(text)


def _code(text: str) -> str:
    """As code, in which neither markup nor mentions nor HTML count; a table's bars are escaped."""
    line = "".join(each if each.isprintable() else " " for each in text).replace("`", "'").strip()
    line = _BEFORE_PIPE.sub(lambda found: f"{found[1]}{found[1]}\\|", line)
    return f"`{line}`" if line else ""


def _escaped(text: str) -> str:
    """Our own sentences with a word of a recipe in them."""
    return re.sub(r"([\\`*_\[\]<>&#|@~])", r"\\\1", text)


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or f'{one}s'}"
