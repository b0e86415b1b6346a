"""A difference for a terminal: the answer first, then a line for everything that moved."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.planning.comparing.comparing import Comparison
from launcher.reporting.columns import WIDTH, wrapped
from launcher.reporting.diff_words import Sentence, answer, key_sentences, problem_sentences, sentences

__all__ = ["diff_lines"]

_GAP = "   "
_SUBJECT, _CHANGE = 17, 24
"""Columns that subjects and changes are given at least."""
_WIDEST_CHANGE = 44


def diff_lines(comparison: Comparison) -> list[str]:
    """Lines of at most 100 characters, as far as words allow."""
    said = sentences(comparison)
    lines = [answer(comparison), *_columns(said)]
    keys = key_sentences(comparison)
    if keys:
        lines += ["in the recipe", *(f"  {line}" for line in _key_lines(keys))]
    return [*lines, *_columns(problem_sentences(comparison))]


def _key_lines(keys: Sequence[Sentence]) -> list[str]:
    return [line for key in keys for line in wrapped(f"{key.subject}: {key.change}", width=WIDTH - 2, hang=4)]


def _columns(said: Sequence[Sentence]) -> list[str]:
    first = max((_SUBJECT, *(len(each.subject) for each in said if len(each.subject) <= 36)))
    changes = [len(each.change) for each in said if len(each.change) <= _WIDEST_CHANGE and each.reason]
    second = max((_CHANGE, *changes)) if changes else 0
    lines = []
    for each in said:
        line = f"{each.subject:<{first}}{_GAP}"
        if each.change:
            line += f"{each.change:<{second}}{_GAP}{each.reason}" if each.reason else each.change
        else:
            line += each.reason
        lines += wrapped(line.rstrip(), width=WIDTH, hang=first + len(_GAP))
    return lines
