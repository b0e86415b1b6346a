"""What no running job can change from one stage to the next, and what has to be there for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from launcher.errors import Problem
from launcher.planning.layout import axes_of
from launcher.planning.stages.restarting import BY_RESTART, OF_A_JOB, parts_of
from launcher.planning.stages.whole_sequences import length_out_of_step
from launcher.planning.stages.written import in_place
from launcher.spec.recipe import EncoderDecoderLength, Recipe, Stage

__all__ = ["IN_ONE_JOB", "stage_limits", "stage_warnings"]

IN_ONE_JOB = (
    "until",
    "global_batch_size",
    "global_batch_tokens",
    "sequence_length",
    "micro_batch_size",
    "gradient_accumulation_steps",
)
"""Keys of a stage that the runtime carries out while the job goes on."""


def stage_limits(recipe: Recipe) -> tuple[Problem, ...]:
    """Why the stages of a recipe can be planned and not be run; empty where they can, or where there are none."""
    if not recipe.stages:
        return ()
    parts = (
        _without_runtime,
        _other_owner,
        _other_axes,
        _other_training,
        _restarts,
        _odd_lengths,
        _several_streams,
    )
    return tuple(problem for part in parts for problem in part(recipe))


def stage_warnings(recipe: Recipe) -> tuple[Problem, ...]:
    """The same as warnings, for a plan; that a job has to be started anew on the way is a note."""
    return tuple(
        replace(problem, severity="note" if problem.code == "stage-needs-a-restart" else "warning")
        for problem in stage_limits(recipe)
    )


def _by_the_script(recipe: Recipe) -> bool:
    """Whether the script says that it changes the batch itself, by the stages of the plan or by its own notation."""
    return "stages" in recipe.launch.script_applies and not recipe.launch.runtime


def _without_runtime(recipe: Recipe) -> tuple[Problem, ...]:
    if recipe.launch.runtime or _by_the_script(recipe):
        return ()
    problem = Problem(
        code="stages-need-the-runtime",
        path="stages",
        message="`stages` change the batch while the job runs, and `launch.runtime: false` hands the script one batch",
        hint="take the batches from launcher.runtime and write launch.runtime: true, or launch.script_applies: "
        "[stages] for a script that changes them itself",
    )
    return (problem,)


def _other_owner(recipe: Recipe) -> tuple[Problem, ...]:
    """A scheduler elsewhere counts steps, and steps of different stages are not alike."""
    owner = recipe.schedule.owner
    if owner in {"auto", "runtime"} or (owner == "script" and _by_the_script(recipe)):
        return ()
    problem = Problem(
        code="stages-need-the-runtime",
        path="schedule.owner",
        message=f"`schedule.owner: {owner}` counts steps, which differ from stage to stage; expected the runtime",
        hint="drop schedule.owner",
    )
    return (problem,)


def _other_axes(recipe: Recipe) -> tuple[Problem, ...]:
    written = [("parallel", recipe.parallel)]
    written += [
        (f"stages.{at}.parallel", each.parallel) for at, each in enumerate(recipe.stages) if each.parallel
    ]
    found = [(path, axes) for path, each in written if (axes := axes_of(each)).ranks_per_replica > 1]
    if not found or _by_the_script(recipe):
        return ()
    path, axes = found[0]
    problem = Problem(
        code="stages-need-data-parallel",
        path=path,
        message=f"`stages` with {axes}: the runtime changes the batch of data-parallel ranks only",
        hint="use parallel.data alone, one run per stage, or a script that changes them itself: launch.script_applies: "
        "[stages]",
    )
    return (problem,)


def _other_training(recipe: Recipe) -> tuple[Problem, ...]:
    """Keys of a stage that say what training means, or which job it is."""
    return tuple(
        Problem(
            code="stage-changes-the-training",
            path=f"stages.{place}.{path}",
            message=f"`stages.{place}.{path}` would make stage {place + 1} {what}",
            because=("a stage may change its batch, its length, and how it is computed",),
            hint=f"write {path} at the top for the whole run, or train a recipe of its own from these parameters",
        )
        for place, stage in enumerate(recipe.stages)
        for path, what in _strange_keys(recipe, stage, place)
    )


def _strange_keys(recipe: Recipe, stage: Stage, place: int) -> Iterator[tuple[str, str]]:
    for item in fields(stage):
        if getattr(stage, item.name) is None or item.name in (*IN_ONE_JOB, *BY_RESTART):
            continue
        yield item.name, "another training"
    if stage.launch is not None:
        here = in_place(recipe, stage, f"stages.{place}").launch
        whole = recipe if recipe.part is None else recipe.part.whole
        for name in OF_A_JOB:
            if getattr(here, name) != getattr(whole.launch, name):
                yield f"launch.{name}", "another job"


def _restarts(recipe: Recipe) -> tuple[Problem, ...]:
    """Where a job has to end and another one goes on, unless the recipe is narrowed to one of its parts."""
    if recipe.part is not None:
        return ()
    return tuple(
        Problem(
            code="stage-needs-a-restart",
            path=f"stages.{part.first_stage - 1}",
            message=f"stage {part.first_stage} of {len(recipe.stages)} has other {_several(part.changed)} than the one "
            "before, which no running job can change",
            because=(
                "a running job can change its batch, its sequence length and how a rank splits its share",
            ),
            hint=f"batchwright run ends the job there and goes on with another; --stage {part.first_stage} is that one",
        )
        for part in parts_of(recipe)[1:]
    )


def _several(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _odd_lengths(recipe: Recipe) -> tuple[Problem, ...]:
    lengths = [stage.sequence_length or recipe.sequence_length for stage in recipe.stages]
    known = [length for length in lengths if isinstance(length, int)]
    odd = length_out_of_step(known) if len(known) == len(lengths) else None
    if odd is None:
        return ()
    place, longest = lengths.index(odd), max(known)
    problem = Problem(
        code="lengths-out-of-step",
        path=f"stages.{place}.sequence_length",
        message=f"`sequence_length: {odd}` of stage {place + 1} does not divide the longest one, {longest}",
        because=("a shorter sequence is read as one of equal pieces of the longest",),
        hint=f"use a length that divides {longest}",
    )
    return (problem,)


def _several_streams(recipe: Recipe) -> tuple[Problem, ...]:
    """Data that are not one row of tokens cannot be cut at another length."""
    lengths = {stage.sequence_length or recipe.sequence_length for stage in recipe.stages}
    pairs = any(isinstance(length, EncoderDecoderLength) for length in lengths)
    if len(lengths) == 1 or not (pairs or recipe.data.packing == "padded"):
        return ()
    what = "an encoder-decoder has two lengths" if pairs else "`data.packing: padded` keeps samples apart"
    problem = Problem(
        code="lengths-need-one-stream",
        path="stages",
        message=f"`stages` change sequence_length, and {what}; expected packed data of one row of tokens",
        because=("a shorter stage reads the same tokens in pieces, so that none is lost or read twice",),
        hint="keep one length, or end the recipe there and resume its checkpoint with a recipe of another length",
    )
    return (problem,)
