"""docs/reference/cli.md, printed from the parsers themselves."""

from __future__ import annotations

import argparse

from launcher.cli.main import build_parser

__all__ = ["cli_reference"]

_HEAD = """# Command line

Plans and rendered commands go to stdout, everything else to stderr. `NO_COLOR` is honoured; nothing depends on colour.
There is no option for what a recipe can say: `--set path=value` overrides any key.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused, with problems on stderr |
| 2 | wrong usage |
| 3 | a bug of ours; please report it |
| 78 | `run` refused before anything started |
| 130, 143 | interrupted |
| other | of `run`: the first failing rank's own code (128+N for signal N), else the engine's |

Programs read `exit` in `RUN/status.json`, see [run folder](run-folder.md).
"""


def cli_reference() -> str:
    """The page as Markdown; each command's help as it is printed."""
    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001
    pages = [
        ("batchwright", parser),
        *((f"batchwright {name}", sub) for name, sub in commands.choices.items()),
    ]
    return "\n".join(
        [_HEAD, *(f"## {name}\n\n```\n{sub.format_help().strip()}\n```\n" for name, sub in pages)]
    )
