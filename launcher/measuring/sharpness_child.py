"""The child process of `batchwright sharpness`: reads what is asked, measures the module, writes what was found.

Started as `python -m launcher.measuring.sharpness_child REQUEST ANSWER`, two JSON files. Ends with 0 whenever an answer
was written, a refusal included.
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
    """Exit code; the answer holds `sharpness` or `problem`."""
    return answer_request(argv, _answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    missing = no_torch("sharpness-unmeasured")
    if missing is not None:
        return missing
    from launcher.measuring.sharpness.probing import probe
    from launcher.measuring.trace_module import Refused

    os.chdir(request["directory"])
    try:
        return {"sharpness": probe(request)}
    except Refused as refused:
        return problem(refused.code, refused.message, hint=refused.hint, because=list(refused.because))
    except BaseException as error:  # noqa: BLE001 - the person's code may raise anything, SystemExit too
        last = traceback.extract_tb(error.__traceback__)[-1]
        return problem(
            "module-failed",
            f"`model.module: {request['module']}` raised {said(error)}",
            hint="run the function and its module by hand with the batch that was given",
            because=[f"{Path(last.filename).name}:{last.lineno} in {last.name}: {last.line}"],
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
