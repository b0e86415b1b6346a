"""The child process of `batchwright sharpness`: reads what is asked, measures the module, writes what was found.

Started as `python -m launcher.measuring.sharpness_child REQUEST ANSWER`, two JSON files. Ends with 0 whenever an answer
was written, a refusal included.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Exit code; the answer holds `sharpness` or `problem`."""
    request = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    answer = _answer(request)
    Path(argv[2]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        import torch  # noqa: F401 - is it there
    except ImportError as error:
        return _problem(
            "sharpness-unmeasured",
            f"{sys.executable} has no torch: {error}",
            hint="write launch.python: the interpreter of the environment that trains",
        )
    from launcher.measuring.sharpness.probing import probe
    from launcher.measuring.trace_module import Refused

    os.chdir(request["directory"])
    try:
        return {"sharpness": probe(request)}
    except Refused as refused:
        return _problem(refused.code, refused.message, hint=refused.hint, because=list(refused.because))
    except BaseException as error:  # noqa: BLE001 - the person's code may raise anything, SystemExit too
        words = str(error).strip().splitlines()
        said = f"{type(error).__name__}: {words[0] if words else ''}".rstrip(": ")
        last = traceback.extract_tb(error.__traceback__)[-1]
        return _problem(
            "module-failed",
            f"`model.module: {request['module']}` raised {said}",
            hint="run the function and its module by hand with the batch that was given",
            because=[f"{Path(last.filename).name}:{last.lineno} in {last.name}: {last.line}"],
        )


def _problem(code: str, message: str, *, hint: str = "", because: list[str] | None = None) -> dict[str, Any]:
    return {"problem": {"code": code, "message": message, "hint": hint, "because": because or []}}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
