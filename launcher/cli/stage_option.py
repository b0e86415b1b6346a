"""`--stage N` and `--resume RUN`: one part of a run in stages, and the checkpoint that it goes on from."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.cli.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.spec.recipe import Recipe

__all__ = ["add_stage", "asked_part", "from_run", "next_command", "refuse_without_resume"]


def add_stage(parser: argparse.ArgumentParser) -> None:
    """`--stage`."""
    parser.add_argument(
        "--stage",
        type=int,
        metavar="N",
        help="only the part of the run that holds this stage, where stages need a restart between them",
    )


def asked_part(arguments: argparse.Namespace, recipe: Recipe, around: Surroundings) -> Recipe | None:
    """The recipe, narrowed to the part of --stage where it is given; None, and said why, without such a stage."""
    if arguments.stage is None:
        return recipe
    if not 1 <= arguments.stage <= len(recipe.stages):
        count = len(recipe.stages)
        has = {0: "no stages", 1: "stage 1 only"}.get(count, f"stages 1 to {count}")
        around.tell(f"batchwright {arguments.command}: --stage {arguments.stage}: this recipe has {has}")
        return None
    from launcher.planning.stages.restarting import part_of

    return part_of(recipe, stage=arguments.stage)


def refuse_without_resume(recipe: Recipe, *, why: str) -> None:
    """Raises HandoffError where nothing tells the script to go on, or where it saves."""
    from launcher.cli.ordering import located
    from launcher.errors import HandoffError, Problem

    missing = {
        "resume": 'resume: {args: ["--resume", "{latest_checkpoint}"]}, in the words of the script',
        "checkpoint": "checkpoint: {directory: checkpoints}, and let the script save there",
    }
    problems = [
        Problem(
            code="restart-without-resume",
            path=name,
            message=f"{why}, and `{name}` is not written",
            hint=f"write {words}",
        )
        for name, words in missing.items()
        if getattr(recipe, name) is None
    ]
    if problems:
        raise HandoffError(located(problems, recipe))


def from_run(recipe: Recipe, name: str) -> Recipe:
    """The recipe whose script goes on from the newest checkpoint of a run. Raises HandoffError."""
    from launcher.errors import HandoffError
    from launcher.handoff.afterwards.left_checkpoint import left_checkpoint, no_checkpoint
    from launcher.handoff.afterwards.run_record import find_run, read_run
    from launcher.planning.stages.resuming import from_checkpoint

    refuse_without_resume(recipe, why=f"`--resume {name}` starts the script with its checkpoint")
    record = read_run(find_run(name))
    found = left_checkpoint(record.directory, plan=record.plan, started=record.started_at)
    if found is None:
        problem = no_checkpoint(record.plan, what=f"`--resume {name}`: that run")
        raise HandoffError([replace(problem, hint="name another run, or start without --resume")])
    return from_checkpoint(recipe, checkpoint=found)


def next_command(arguments: argparse.Namespace, *, stage: int, run: str | None) -> str:
    """What a person types to go on with a stage, from what a run has left."""
    from launcher.spec.shell import quote

    words: Sequence[str] = ["batchwright", "run", arguments.recipe]
    changes = [word for change in arguments.set for word in ("--set", change)]
    resume = [] if run is None else ["--resume", run]
    return " ".join(map(quote, [*words, *changes, "--stage", str(stage), *resume]))
