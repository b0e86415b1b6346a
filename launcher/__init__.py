"""Batchwright: a recipe in, an exact plan out, and proof that what trains is the plan. Imports are lazy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher import runtime
    from launcher.api import load_recipe, plan

__all__ = ["load_recipe", "plan", "runtime"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "runtime":
        return import_module("launcher.runtime")
    if name in {"load_recipe", "plan"}:
        return getattr(import_module("launcher.api"), name)
    raise AttributeError(f"module 'launcher' has no attribute {name!r}")
