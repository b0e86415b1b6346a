"""Calls us when the script itself imports a module, right after it has run; imports nothing on its own.

Importing torch before the script would be simpler and would change it: environment variables that the script sets for
torch (OMP_NUM_THREADS, TORCH_LOGS, allocator settings) would come too late, and a script without torch would pay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["on_arrival"]

Call = Callable[[ModuleType], None]


def on_arrival(calls: Mapping[str, Call]) -> None:
    """Each call when its module arrives; at once for a module that is already here."""
    for name in [name for name in calls if name in sys.modules]:
        calls[name](sys.modules[name])
    sys.meta_path.insert(
        0, _Arrivals({name: call for name, call in calls.items() if name not in sys.modules})
    )


class _Arrivals:
    """A finder that finds what the others find, and leaves a word with the loader."""

    def __init__(self, calls: dict[str, Call]) -> None:
        self._calls = calls

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        call = self._calls.pop(name, None)
        if call is None:
            return None  # or another one of us, which waits for the same module, has asked
        spec = next(filter(None, (_find(finder, name, path, target) for finder in sys.meta_path[:])), None)
        if spec is None or spec.loader is None:
            self._calls[name] = call
        else:
            _call_after(spec.loader, call)
        return spec


def _find(finder: Any, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    if not hasattr(finder, "find_spec"):
        return None
    found: ModuleSpec | None = finder.find_spec(name, path, target)
    return found


def _call_after(loader: Any, call: Call) -> None:
    """On the loader's instance, so that the module keeps an ordinary loader of an ordinary type."""
    original = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        vars(loader).pop("exec_module", None)  # the first of several has taken it away for all
        original(module)
        call(module)

    loader.exec_module = exec_module
