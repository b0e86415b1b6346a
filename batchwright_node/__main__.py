"""`python -m batchwright_node`: our `launcher`, whatever lies in the current folder, and then its node program."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / "launcher"
"""Installed or editable, it lies beside this package."""


def main() -> int:
    """Exit code of the node program."""
    if sys.path and sys.path[0] in {"", str(Path.cwd())}:
        del sys.path[0]
    spec = importlib.util.spec_from_file_location(
        "launcher", HOME / "__init__.py", submodule_search_locations=[str(HOME)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["launcher"] = package
    spec.loader.exec_module(package)
    command = importlib.import_module("launcher.handoff.node.command")
    code: int = command.main(sys.argv[1:], environ=dict(os.environ))  # noqa: TID251 - handed on from here
    return code


if __name__ == "__main__":
    sys.exit(main())
