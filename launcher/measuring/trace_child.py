"""The child process of `batchwright trace`: reads what is asked, traces the person's module, writes what was found.

Started as `python -m launcher.measuring.trace_child REQUEST ANSWER`, two JSON files. What the person's code prints goes
where the parent sent standard output. Ends with 0 whenever an answer was written, a refusal included.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from launcher.measuring.answering import answer_request, no_torch, problem, said

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Exit code; the answer holds `trace` or `problem`."""
    return answer_request(argv, _answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    missing = no_torch("trace-needs-torch")
    if missing is not None:
        return missing
    from launcher.measuring.trace_all import trace_module
    from launcher.measuring.trace_module import Refused
    from launcher.measuring.traced_code import Opened

    directory = Path(request["directory"])
    os.chdir(directory)
    opened = Opened(directory)
    sys.addaudithook(opened.hook)
    try:
        trace = trace_module(request)
    except Refused as refused:
        return problem(refused.code, refused.message, hint=refused.hint, because=list(refused.because))
    except BaseException as error:  # noqa: BLE001 - the person's code may raise anything, SystemExit too
        return _raised(error, request)
    return {"trace": {**trace, "code": opened.hashes()}}


def _raised(error: BaseException, request: dict[str, Any]) -> dict[str, Any]:
    """What the person's code raised, with the last of its own lines; looking at numbers is a case of its own."""
    name = request["module"]
    place = _place(error, Path(request["directory"]))
    words = said(error)
    if type(error).__name__ in _LOOKS_AT_NUMBERS or any(part in words for part in _WANTS_NUMBERS):
        return problem(
            "data-dependent",
            f"`model.module: {name}` decides by the numbers in a tensor, which a trace does not have",
            hint="take the decision out of the training path, or measure on the device instead",
            because=[*place, words],
        )
    return problem(
        "module-failed",
        f"`model.module: {name}` raised {words}",
        hint="build it on the CPU: moving to a device is the training script's part"
        if "cuda" in words.lower()
        else "run the function and one step of the module by hand; a trace needs no GPU and no other file",
        because=place,
    )


_LOOKS_AT_NUMBERS = frozenset(
    {
        "DataDependentOutputException",
        "DynamicOutputShapeException",
        "GuardOnDataDependentSymNode",
    }
)


_WANTS_NUMBERS = (".numpy() is not supported", "SparseTensorImpl")
"""In messages: a conversion to numpy; a sparse gradient, which is as large as the numbers of a batch make it."""


def _place(error: BaseException, directory: Path) -> list[str]:
    """`file:line, function: text` of the innermost line under the recipe's folder."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(directory) and "site-packages" not in frame.filename
    ]
    if not frames:
        return []
    last = frames[-1]
    return [f"{Path(last.filename).relative_to(directory)}:{last.lineno} in {last.name}: {last.line}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
