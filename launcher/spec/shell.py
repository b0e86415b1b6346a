"""The one place where words become shell text; everywhere else a command is a tuple."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["command_line", "quote", "settings"]


def quote(word: str) -> str:
    """One word as a POSIX shell reads it back, newlines and quotes included."""
    import shlex

    return shlex.quote(word)


def settings(env: Mapping[str, str]) -> list[str]:
    """`NAME=value` for each variable, in their order; only the value is quoted, as a person would write it."""
    return [f"{name}={quote(value)}" for name, value in env.items()]


def command_line(*, argv: Sequence[str], env: Mapping[str, str], directory: str | None = None) -> str:
    """A line to paste into a shell: `cd DIR && env A=b C=d program words`.

    env: set for this command only. directory: entered first, when given.
    """
    words = [*(["env", *settings(env)] if env else []), *map(quote, argv)]
    start = f"cd {quote(directory)} && " if directory is not None else ""
    return start + " ".join(words)
