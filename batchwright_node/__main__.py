"""`python -m batchwright_node`: our `launcher`, whatever lies in the current folder, and then its node program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from batchwright_witness.borrowed import load_ours


def main() -> int:
    """Exit code of the node program."""
    if sys.path and sys.path[0] in {"", str(Path.cwd())}:
        del sys.path[0]
    command = load_ours("handoff.node.command")
    code: int = command.main(sys.argv[1:], environ=dict(os.environ))  # noqa: TID251 - handed on from here
    return code


if __name__ == "__main__":
    sys.exit(main())
