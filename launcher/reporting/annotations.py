"""Problems as commands that GitHub's runner turns into annotations of a pull request."""

from __future__ import annotations

from launcher.errors import Problem

__all__ = ["annotation"]

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_IN_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES = {**_IN_DATA, ":": "%3A", ",": "%2C"}


def annotation(problem: Problem, *, file: str, line: int, column: int) -> str:
    """`::error file=r.yaml,line=3,col=20,title=code::message`; file: from the repository's root, empty for none.

    Source: escapes of actions/toolkit packages/core/src/command.ts, escapeData and escapeProperty.
    """
    at: dict[str, str | int] = {"file": file, "line": line, "col": column} if file else {}
    places = {**at, "title": problem.code}
    properties = ",".join(
        f"{name}={_escaped(str(value), _IN_PROPERTIES)}" for name, value in places.items() if value
    )
    placed = bool(file) or not problem.where
    words = [problem.message if placed else f"{problem.where}: {problem.message}", *problem.because]
    if problem.hint:
        words.append(f"hint: {problem.hint}")
    return f"::{_COMMANDS[problem.severity]} {properties}::{_escaped(chr(10).join(words), _IN_DATA)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)
