"""The user's script as `__main__`, as `python SCRIPT` and `python -m PKG.MOD` run it.

Not runpy: it puts the former `__main__` back when the code has ended, while the script's threads and exit handlers
still look for theirs, and what it leaves in `__main__.__spec__` decides what a spawned worker imports.
"""

from __future__ import annotations

import builtins
import importlib.util
import io
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

__all__ = ["ScriptError", "prepare_module", "prepare_script", "run"]


class ScriptError(ValueError):
    """There is no such script or module."""


def prepare_script(script: str, rest: tuple[str, ...]) -> tuple[ModuleType, CodeType]:
    """`__main__` and its code for a file; sys.argv and sys.path[0] as `python SCRIPT` sets them.

    Links are followed before the folder is taken.
    Source: CPython Python/pathconfig.c:_PyPathConfig_ComputeSysPathArgv0.
    """
    path = os.path.abspath(script)  # noqa: PTH100 - not resolved: __file__ names the link
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise ScriptError(f"cannot read `{script}`: {error.strerror}") from error
    sys.argv[:] = [script, *rest]
    _first_on_path(str(Path(path).resolve().parent))
    main = ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    main.__spec__ = None
    return main, compile(source, path, "exec", dont_inherit=True)


def prepare_module(name: str, rest: tuple[str, ...]) -> tuple[ModuleType, CodeType]:
    """`__main__` and its code for a module; sys.argv and sys.path[0] as `python -m PKG.MOD` sets them."""
    sys.argv[:] = ["-m", *rest]
    _first_on_path(str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except ModuleNotFoundError as error:
        raise ScriptError(f"no module named {error.name}") from error
    code = spec.loader.get_code(spec.name) if spec and isinstance(spec.loader, SourceFileLoader) else None
    if spec is None or code is None:
        raise ScriptError(f"no module named {name} that could be run")
    main = ModuleType("__main__")
    main.__file__ = spec.origin
    main.__loader__ = spec.loader
    main.__package__ = spec.parent
    main.__spec__ = spec
    main.__dict__["__cached__"] = spec.cached
    sys.argv[0] = spec.origin or name
    return main, code


def run(main: ModuleType, code: CodeType, *, ended: Callable[[BaseException | None], None]) -> int:
    """Run to the end and tell `ended` how; the exit code, or what the script raised where Python itself acts on it."""
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)  # noqa: S102 - running the user's script is what this is for
    except (SystemExit, KeyboardInterrupt) as error:
        ended(error)
        raise
    except BaseException as error:  # noqa: BLE001
        ended(error)
        _show(error)
        return 1
    ended(None)
    return 0


def _show(error: BaseException) -> None:
    """As Python shows an uncaught exception, without our frames above the script's."""
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _first_on_path(folder: str) -> None:
    """`python -m` put the current folder first; with -P or -I it put nothing."""
    if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
        sys.path[0] = folder
