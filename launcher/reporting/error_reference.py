"""docs/reference/errors.md, printed from the table of codes."""

from __future__ import annotations

from launcher.errors import CODES

__all__ = ["error_reference"]

_HEAD = """# Error codes

Every problem ends in its code in brackets. The first line says where, what was written and what was expected;
lines below it derive the numbers that were not written; a `hint:` is something you can do.
`tests/loading/bad/` holds a recipe for every code and the whole message it gives.

A problem is an error (refused), a warning (legal, but look again) or a note; only errors change the exit code.
"""


def error_reference() -> str:
    """The page as Markdown, codes in the order in which they can happen."""
    entries = [
        f"## {code}\n\n{_sentence(info.meaning)}\n\n**What to do:** {_sentence(info.solution)}\n"
        for code, info in CODES.items()
    ]
    return "\n".join([_HEAD, *entries])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
