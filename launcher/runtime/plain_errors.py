"""What a person can mend is said in words: no traceback of ours above it. Every other error is shown as before."""

from __future__ import annotations

import sys
from types import TracebackType

from launcher.errors import LauncherError

__all__ = ["show_plainly"]


def show_plainly() -> None:
    """From here on a LauncherError that nothing caught ends the script with its problems alone."""
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, LauncherError):
            print(error, file=sys.stderr, flush=True)
        else:
            before(kind, error, trace)

    sys.excepthook = show
