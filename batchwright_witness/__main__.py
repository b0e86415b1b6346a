"""`python -m batchwright_witness`: read the plan, then be the script."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchwright_witness.arguments import UsageError, parse_arguments
from batchwright_witness.borrowed import borrow
from batchwright_witness.exits import exit_of, record_exit
from batchwright_witness.script import ScriptError, prepare_module, prepare_script, start


def main() -> int:
    """Exit code of the script; 1 when the job is not the planned one, 2 for a wrong command line."""
    try:
        arguments = parse_arguments(sys.argv[1:])
    except UsageError as error:
        print(f"batchwright_witness: {error}", file=sys.stderr)
        return 2
    environ = os.environ  # noqa: TID251 - the one place where the witness reads it
    folder = Path(environ.get("BATCHWRIGHT_RUN") or Path(arguments.plan).resolve().parent)
    rank = int(environ.get("RANK", "0"))
    borrowed, plan = borrow(arguments.plan)
    if isinstance(plan, str):
        problem = borrowed.problem("plan-unreadable", f"cannot read the plan `{arguments.plan}`", plan)
        return _refuse(folder, rank, str(problem))
    try:
        if arguments.module is None:
            assert arguments.script is not None
            module, code = prepare_script(arguments.script, arguments.rest)
        else:
            module, code = prepare_module(arguments.module, arguments.rest)
    except ScriptError as error:
        return _refuse(folder, rank, str(borrowed.problem("script-not-found", str(error))))
    pid = os.getpid()
    ended: BaseException | None = None
    try:
        start(module, code)
    except BaseException as error:
        ended = error
        raise
    finally:
        if os.getpid() == pid:
            exit_code, words = exit_of(ended)
            record_exit(folder=folder, rank=rank, code=exit_code, error=words)
    return 0


def _refuse(folder: Path, rank: int, message: str) -> int:
    print(message, file=sys.stderr)
    record_exit(folder=folder, rank=rank, code=1, error=message)
    return 1


if __name__ == "__main__":
    sys.exit(main())
