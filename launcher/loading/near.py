"""What a person may have meant: the nearest word, by difflib, close enough not to guess."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["near_miss"]

_CLOSE = 0.8


def near_miss(word: str, words: Iterable[str]) -> str:
    """The word that this one is a slip of; empty when none is close. Case and `-` for `_` do not count."""
    from difflib import get_close_matches

    plain = {_plain(candidate): candidate for candidate in words}
    close = get_close_matches(_plain(word)[:80], plain, n=1, cutoff=_CLOSE)
    return plain[close[0]] if close else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")
