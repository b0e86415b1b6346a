"""`batchwright init`: a recipe from what a team already has, or from a few questions."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from launcher.cli.beginning import Begun
    from launcher.errors import LauncherError

__all__ = ["DESCRIPTION", "EXAMPLE", "SUMMARY", "add_arguments", "run", "write_recipe"]

SUMMARY = "make a recipe from the files of other tools, or from a few questions"
DESCRIPTION = """\
Read what a run is made of today and write it as a recipe: Hugging Face config.json, DeepSpeed JSON, Accelerate file,
TrainingArguments as JSON, a script that calls torchrun, accelerate launch or deepspeed, its words behind `--`, or a
whole folder of them. Kinds are found out by content. Every key says where it comes from; what could not be carried
over, and what is missing, is listed; files that contradict each other are refused, with both values. Without sources,
on a terminal, it asks. The recipe goes to stdout, or to -o, which is never overwritten.
Exit code: 0 when there is a recipe, be it not yet a plan; 1 when there is none."""
EXAMPLE = """\
examples:
  batchwright init -- torchrun --nproc_per_node 8 train.py --lr 3e-4
  batchwright init ds_config.json config.json run.sh -o recipe.yaml
  batchwright init runs/rendered/quickstart-1a2b3c4d --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `init`."""
    parser.add_argument(
        "source", nargs="*", metavar="SOURCE", help="a file or a folder; and -- COMMAND WORDS..."
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the recipe here; an existing file stays"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one object: recipe, what was carried, what was not, what is missing",
    )


def run(arguments: argparse.Namespace, around: Surroundings) -> int:
    """Makes the recipe and shows the plan it comes to."""
    words = around.argv[2:]
    command = tuple(words[words.index("--") + 1 :]) if "--" in words else ()
    if arguments.output is not None:
        _refuse_existing(arguments.output)
    if not arguments.source and not command:
        return _ask(arguments, around, given="--" in words)
    from launcher.cli.beginning import begin

    begun = begin(arguments.source, command)
    text = _text(begun)
    if arguments.json:
        around.say(json.dumps(_report(begun, text, around), indent=1, ensure_ascii=False, default=str))
        if arguments.output is not None:
            write_recipe(arguments.output, text)
        return 0
    if arguments.output is None:
        around.say(text.rstrip("\n"))
    else:
        write_recipe(arguments.output, text)
        around.tell(f"wrote {arguments.output}")
    _tell(begun, text, arguments.output, around)
    return 0


def _ask(arguments: argparse.Namespace, around: Surroundings, *, given: bool) -> int:
    if given or not (sys.stdin.isatty() and around.stderr.isatty()):
        what = "nothing behind `--`" if given else "no source, and no terminal to ask at"
        around.tell(f"batchwright init: {what}; name a file or a folder, or a command line behind `--`")
        return 2
    from launcher.cli.interview import interview

    return interview(output=arguments.output, around=around)


def _refuse_existing(output: str) -> None:
    from launcher.errors import HandoffError, Problem

    if Path(output).exists() or Path(output).is_symlink():
        message = f"`-o {output}` is there already"
        problem = Problem(code="would-overwrite", message=message, hint="name another file, or move it away")
        raise HandoffError([problem])


def write_recipe(output: str, text: str) -> None:
    """Never over a file that has appeared meanwhile. Raises HandoffError."""
    from launcher.errors import HandoffError, Problem

    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _refuse_existing(output)
    except OSError as error:
        message = f"`-o {output}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise HandoffError(
            [Problem(code="file-not-found", message=message, hint="name another file")]
        ) from None


def _text(begun: Begun) -> str:
    """The recipe, and below it as comments what it does not hold."""
    from launcher.reporting.begin_text import begun_lines, header_lines
    from launcher.reporting.recipe_text import recipe_text

    text = recipe_text(begun.values, comments=begun.comments, header=header_lines(begun.sources))
    below = begun_lines(not_carried=begun.not_carried, missing=begun.missing)
    comments = "".join(f"# {line}".rstrip() + "\n" for line in _printable(below))
    return f"{text}\n{comments}" if below else text


def _printable(lines: list[str]) -> list[str]:
    return ["".join(each if each.isprintable() else " " for each in line) for line in lines]


def _planned(text: str, output: str | None, around: Surroundings) -> tuple[Any, LauncherError | None]:
    """The plan of what was written, or why there is none yet."""
    from launcher.api import load_recipe, plan
    from launcher.errors import LauncherError
    from launcher.loading.plain_text import values_of

    try:
        recipe = load_recipe(output if output is not None else values_of(text))
        return plan(recipe, environ=around.environ), None
    except LauncherError as error:
        return None, error


def _tell(begun: Begun, text: str, output: str | None, around: Surroundings) -> None:
    """What to know beside the recipe: on stdout where the recipe is not, else on stderr."""
    from launcher.reporting.begin_text import begun_lines

    say = around.say if output is not None else around.tell
    named = output is not None  # else the lists stand below the recipe already
    lines = begun_lines(
        not_carried=begun.not_carried if named else (),
        missing=begun.missing if named else (),
        skipped=begun.skipped,
    )
    if lines:
        say("\n".join(_printable(lines)))
    plan, refused = _planned(text, output, around)
    if refused is not None:
        say("not a plan yet")
        for problem in refused.problems:
            if problem.severity == "error":
                say("\n".join(f"  {line}" for line in str(problem).splitlines()))
        return
    for problem in plan.problems:
        if problem.severity in {"error", "warning"}:
            say(f"{problem.severity}: {problem}")
    batch = plan.batch
    say(
        f"a plan: {batch.global_batch_size} sequences per step = {batch.micro_batch_size} micro x"
        f" {batch.gradient_accumulation_steps} accumulation x {batch.data_parallel_size} ranks,"
        f" {plan.verdict.replace('-', ' ')}"
    )
    if begun.plan_hash is not None:
        same = begun.plan_hash == plan.plan_hash
        was = begun.plan_hash[:8]
        say(
            f"the same plan as the files were rendered from ({was})"
            if same
            else f"not yet the plan that the files were rendered from: {plan.plan_hash[:8]}, not {was}"
        )


def _report(begun: Begun, text: str, around: Surroundings) -> dict[str, Any]:
    from launcher.spec.plain import to_plain

    plan, refused = _planned(text, None, around)
    problems = plan.problems if plan is not None else refused.problems if refused else ()
    return {
        **begun.to_dict(),
        "text": text,
        "plan_hash": None if plan is None else plan.plan_hash,
        "problems": to_plain(problems),
    }
