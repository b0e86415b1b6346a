"""`batchwright`: words in, exit code out. The one place that catches what a person can cause."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from launcher.cli.surroundings import Surroundings
from launcher.errors import LauncherError

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS = (
    "init",
    "plan",
    "check",
    "render",
    "lock",
    "diff",
    "run",
    "status",
    "logs",
    "stop",
    "doctor",
    "advise",
    "data",
    "trace",
    "sharpness",
    "probe",
    "rehearse",
    "selftest",
    "recipes",
    "explain",
    "schema",
    "engines",
    "completion",
)
"""Every command, in the order of the help; each is the module `launcher.cli.NAME_command`."""
_EXAMPLE = """\
example:
  batchwright plan recipes/quickstart/cpu-1x2.yaml     what would be trained, and how
  batchwright run recipes/quickstart/cpu-1x2.yaml      train it
"""


def main(
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Exit code of one command line.

    0 done; 1 refused, with problems on stderr; 2 wrong usage; 3 a bug of ours; 78 `run` refused before anything
    started; 130 interrupted; else the job's own.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    around = Surroundings(
        environ=os.environ if environ is None else environ,  # noqa: TID251 - the one place
        stdout=stdout or sys.stdout,
        stderr=stderr or sys.stderr,
        argv=("batchwright", *words),
        beside=Path(sys.executable).parent,
    )
    _never_fail_to_print(around)
    if "_ARGCOMPLETE" in around.environ:  # the shell asks what TAB may complete
        _complete(around)
    try:
        arguments = build_parser(words[0] if words else None).parse_args(_own(words))
        code = _run(arguments, around)
        around.stdout.flush()
    except SystemExit as leaving:  # argparse has said what is wrong, or printed its help
        return leaving.code if isinstance(leaving.code, int) else 2
    except KeyboardInterrupt:
        around.tell("interrupted")
        return 130
    except BrokenPipeError:
        _forget_stdout()
        return 128 + 13
    return code


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """All commands with all their options; one command alone where it is known which was typed.

    The others' modules are then not imported: a plan should not wait for them.
    """
    parser = argparse.ArgumentParser(
        prog="batchwright",
        description="A recipe in, an exact plan out, and proof that what trains is the plan.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in (command,) if command in COMMANDS else COMMANDS:
        module = importlib.import_module(f"launcher.cli.{name}_command")
        options = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_arguments(options)
        options.set_defaults(run=module.run)
    return parser


def _own(words: Sequence[str]) -> Sequence[str]:
    """Without the command line of another tool that `init` is given behind `--`: none of its words is an option."""
    return words[: words.index("--")] if words[:1] == ["init"] and "--" in words else words


def _run(arguments: argparse.Namespace, around: Surroundings) -> int:
    try:
        code: int = arguments.run(arguments, around)
    except LauncherError as error:
        from launcher.cli.complaints import print_refusal

        print_refusal(error, around, as_json=getattr(arguments, "json", False))
        return 78 if arguments.command == "run" else 1
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception:  # noqa: BLE001 - whatever nobody can cause from outside is our bug, and is reported
        from launcher.cli.complaints import print_bug

        print_bug(around)
        return 3
    return code


def _complete(around: Surroundings) -> None:
    from launcher.cli.completing import complete, typed_command

    complete(build_parser(typed_command(around.environ.get("COMP_LINE", ""), COMMANDS)))


class _Version(argparse.Action):
    """Looks the version up only when asked: reading package metadata takes longer than planning."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, help="print the version", **options)

    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any, **_options: Any) -> None:
        from importlib.metadata import version

        print(f"batchwright {version('batchwright')}")
        parser.exit()


def _never_fail_to_print(around: Surroundings) -> None:
    """A recipe may hold characters that the terminal's encoding does not."""
    for stream in (around.stdout, around.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """The reader has gone (`| head`); without this the interpreter complains when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
