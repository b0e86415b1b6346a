"""The child's side of child.py: reads the request, writes the answer, and puts what went wrong into words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["answer_request", "no_torch", "problem", "said"]


def answer_request(argv: list[str], answer: Callable[[dict[str, Any]], Mapping[str, Any]]) -> int:
    """Exit code 0 of `python -m child REQUEST ANSWER`; both are JSON files."""
    request = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    Path(argv[2]).write_text(json.dumps(answer(request)), encoding="utf-8")
    return 0


def problem(code: str, message: str, *, hint: str = "", because: list[str] | None = None) -> dict[str, Any]:
    """An answer that says why there is none."""
    return {"problem": {"code": code, "message": message, "hint": hint, "because": because or []}}


def no_torch(code: str) -> dict[str, Any] | None:
    """The problem of an interpreter without torch; None where it has it, which then is imported."""
    try:
        import torch  # noqa: F401 - is it there
    except ImportError as error:
        hint = "write launch.python: the interpreter of the environment that trains"
        return problem(code, f"{sys.executable} has no torch: {error}", hint=hint)
    return None


def said(error: BaseException) -> str:
    """`ValueError: the first line of what it says`."""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0] if words else ''}".rstrip(": ")
