"""One error code: what it means, what to do, and what it looks like when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launcher.errors import CODES
from launcher.reporting.columns import labelled
from launcher.reporting.examples import code_examples

__all__ = ["CodeExplained", "code_lines", "explain_code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeExplained:
    """What is known of a code; without a recipe, its message is of a job or of a command."""

    code: str
    meaning: str
    solution: str
    message: str
    """All that was printed."""
    command: str = ""
    """What was typed."""
    recipe: tuple[tuple[int, str], ...] = ()
    """Lines of the recipe with their numbers."""


def explain_code(code: str) -> CodeExplained:
    """All that is known of a code."""
    example: dict[str, Any] = code_examples().get(code, {"message": ""})
    return CodeExplained(
        code=code,
        meaning=_sentence(CODES[code].meaning),
        solution=_sentence(CODES[code].solution),
        message=example["message"],
        command=example.get("command", ""),
        recipe=tuple((number, text) for number, text in example.get("lines", ())),
    )


def code_lines(known: CodeExplained) -> list[str]:
    """The same for a screen."""
    lines = [f"{known.code}   error code", "", *labelled("", [known.meaning], hang=0)]
    lines = [line.lstrip() if at > 1 else line for at, line in enumerate(lines)]
    lines += ["", *labelled("do", [known.solution])]
    if known.recipe:
        width = len(str(known.recipe[-1][0]))
        lines += ["", "for example"]
        lines += [f"    {number:>{width}}  {text}".rstrip() for number, text in known.recipe]
        lines += ["", f"`{known.command}` prints" if known.command else "where it happens, is printed"]
    elif known.message:
        lines += ["", "for example"]
    return [*lines, *(f"    {line}" for line in known.message.splitlines())]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
