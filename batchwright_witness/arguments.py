"""The witness's own command line; everything after the script is the script's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["USAGE", "Arguments", "UsageError", "parse_arguments"]

USAGE = "usage: python -m batchwright_witness --plan PLAN (SCRIPT | --module PKG.MOD) ARGS..."


class UsageError(ValueError):
    """The command line is not what the usage line says; exit 2."""


class Arguments(NamedTuple):
    """What to run and against which plan."""

    plan: str
    script: str | None
    module: str | None
    rest: tuple[str, ...]


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Options up to the script or module, and then nothing of ours any more (no argparse: it would read on)."""
    plan = module = None
    rest = list(words)
    while rest and rest[0].startswith("--"):
        option, equals, value = rest.pop(0).partition("=")
        if option not in {"--plan", "--module"}:
            raise UsageError(f"unknown option `{option}`\n{USAGE}")
        if not equals:
            if not rest:
                raise UsageError(f"`{option}` needs a value\n{USAGE}")
            value = rest.pop(0)
        if option == "--module":
            module = value
            break
        plan = value
    if plan is None:
        raise UsageError(f"`--plan` is missing\n{USAGE}")
    if module is None and not rest:
        raise UsageError(f"there is nothing to run\n{USAGE}")
    return Arguments(plan, None if module else rest.pop(0), module, tuple(rest))
