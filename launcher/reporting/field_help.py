"""The text under each field of a recipe type: what the key means, in the words of the code."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise

__all__ = ["field_help", "section_help"]


@cache
def field_help(kind: type) -> dict[str, str]:
    """Help of every field of a type, by name; read from its source, which the interpreter does not keep."""
    (body,) = [
        node.body
        for node in ast.parse(inspect.getsource(inspect.getmodule(kind) or kind)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def section_help(kind: type) -> str:
    """What a section is about: the docstring of its type."""
    return inspect.cleandoc(kind.__doc__ or "")
