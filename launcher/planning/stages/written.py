"""Each stage as a recipe of its own: the run's recipe with what the stage writes in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from fractions import Fraction
from typing import Any

from launcher.errors import Problem
from launcher.planning.batch import solve_global_batch
from launcher.planning.model import sequence_tokens
from launcher.planning.solved import Solved
from launcher.planning.stages.mark_problems import mark_problems, no_end, whole_everywhere
from launcher.planning.stages.timeline import Course, Part, StageClock, Unit, lay_out
from launcher.planning.stages.whole_sequences import longest_length
from launcher.spec.cluster import Cluster
from launcher.spec.launch import Launch
from launcher.spec.marks import Mark, Origin
from launcher.spec.model import Model
from launcher.spec.parallel import Parallel
from launcher.spec.recipe import Recipe, Stage
from launcher.spec.training import Checkpoint, Data, Evaluation, Loss, Optimizer, Precisions, Resume, Schedule

__all__ = [
    "StageRecipe",
    "changes_length",
    "counts_tokens",
    "few",
    "in_place",
    "solve_clock",
    "stage_recipes",
]

_BATCH = ("global_batch_size", "global_batch_tokens")
_NOT_MERGED = ("until", *_BATCH)
_ALIKE = 3
"""Problems of one code that are shown."""
_SECTIONS = (
    Model,
    Data,
    Optimizer,
    Schedule,
    Precisions,
    Loss,
    Parallel,
    Cluster,
    Launch,
    Evaluation,
    Checkpoint,
    Resume,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecipe:
    """One stage: where it stands in the recipe, where it ends, and the recipe that holds in it."""

    number: int
    """From 1."""
    count: int
    path: str
    """Of what is written of it: `stages.1`."""
    written: Stage
    recipe: Recipe
    """Its `stages` are still those of the whole run."""
    global_batch_size: int
    origins: Mapping[str, Origin]
    """Of the global batch."""

    @property
    def end(self) -> tuple[Fraction, Unit] | None:
        """Its mark, as an amount from the start of the run; None where it has none."""
        until = self.written.until
        if until is None:
            return None
        return until.number, "tokens" if until.unit == "tokens" else "samples"

    def located(self, problem: Problem) -> Problem:
        """A problem of the stage's own recipe, with the stage's place in the run's recipe."""
        inner = f"{self.path}.{problem.path}"
        is_own = problem.path.partition(".")[0] in _own_keys(self.written)
        message = f"stage {self.number} of {self.count}: {problem.message}"
        return replace(problem, path=inner if is_own else self.path, message=message)


def stage_recipes(recipe: Recipe) -> Solved[tuple[StageRecipe, ...]]:
    """The stages of a recipe, none where it has none; problems of each batch with the stage's place."""
    recipe, found, problems = _whole(recipe), [], []
    for place, stage in enumerate(recipe.stages):
        path = f"stages.{place}"
        inside = in_place(recipe, stage, path)
        size = solve_global_batch(inside)
        made = StageRecipe(
            number=place + 1,
            count=len(recipe.stages),
            path=path,
            written=stage,
            recipe=inside,
            global_batch_size=size.value or 1,
            origins=size.origins,
        )
        problems += [made.located(problem) for problem in size.problems]
        found.append(made)
    problems = [
        *whole_everywhere(recipe, tuple(found), few(tuple(problems))),
        *mark_problems(tuple(found)),
    ]
    if problems:
        return Solved(value=None, problems=tuple(problems))
    return Solved(value=tuple(found))


def solve_clock(*, recipe: Recipe, stages: tuple[StageRecipe, ...]) -> Solved[StageClock]:
    """The clock of a run through all its stages, as if it had no end."""
    lengths = [sequence_tokens(stage.recipe) for stage in stages]
    legs = lay_out(
        tuple(
            Part(stage.global_batch_size, length, stage.end)
            for stage, length in zip(stages, lengths, strict=True)
        )
    )
    bad = [place for place, leg in enumerate(legs) if leg.steps is not None and leg.steps < 1]
    if bad:  # what comes after the first one cannot be counted
        return Solved(value=None, problems=(no_end(stages, bad[0], legs[bad[0]]),))
    clock = StageClock(
        course=Course(legs),
        sequence_length=sequence_tokens(recipe) if counts_tokens(recipe) else None,
        data_length=longest_length(lengths),
    )
    return Solved(value=clock)


def in_place(recipe: Recipe, stage: Stage, path: str) -> Recipe:
    """The recipe with what one of its stages writes in place; path: of the stage."""
    keys: dict[str, Any] = {}
    for item in fields(stage):
        value = getattr(stage, item.name)
        if item.name in _NOT_MERGED or value is None:
            continue
        keys[item.name] = _merged(getattr(recipe, item.name), value, f"{path}.{item.name}", recipe.marks)
    if stage.global_batch_size is not None or stage.global_batch_tokens is not None:
        keys |= {name: getattr(stage, name) for name in _BATCH}
    return replace(recipe, **keys, marks=_marks(recipe.marks, path, _own_keys(stage)))


def few(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The first problems of each code; a long ramp may have the same one in a hundred stages."""
    kept: list[Problem] = []
    for code in dict.fromkeys(problem.code for problem in problems):
        alike = [problem for problem in problems if problem.code == code]
        kept += alike[:_ALIKE]
        if len(alike) > _ALIKE:
            more = f"and so {len(alike) - _ALIKE} more stages"
            kept[-1] = replace(kept[-1], because=(*kept[-1].because, more))
    return tuple(kept)


def changes_length(recipe: Recipe) -> bool:
    """Whether the stages of a recipe differ in tokens per sequence."""
    lengths = {stage.sequence_length or recipe.sequence_length for stage in recipe.stages}
    return len(lengths) > 1


def counts_tokens(recipe: Recipe) -> bool:
    """Whether the learning rate is a function of tokens: as written, or because the stages differ in length."""
    clock = recipe.schedule.clock
    if clock == "auto":
        return changes_length(recipe) and sequence_tokens(recipe) is not None
    return clock == "tokens" and sequence_tokens(recipe) is not None


def _whole(recipe: Recipe) -> Recipe:
    """The recipe of the whole run, where one of its parts is planned, with what was found beside the part's."""
    if recipe.part is None:
        return recipe
    names = ("traces", "hosts", "allocation", "template")
    beside: dict[str, Any] = {name: getattr(recipe, name) for name in names}
    whole: Recipe = recipe.part.whole
    return replace(whole, **beside)


def _merged(whole: Any, part: Any, path: str, marks: Mapping[str, Mark]) -> Any:
    """A section in which the keys that the stage writes replace those of the run; anything else is replaced whole."""
    if type(whole) is not type(part) or not isinstance(part, _SECTIONS):
        return part
    written = {item.name for item in fields(part) if f"{path}.{item.name}" in marks}
    if path not in marks:  # a recipe that nobody wrote down: what differs from the defaults
        written = {item.name for item in fields(part) if getattr(part, item.name) != _default(item)}
    return replace(whole, **{name: getattr(part, name) for name in written})


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _marks(marks: Mapping[str, Mark], path: str, keys: set[str]) -> Mapping[str, Mark]:
    """Where the stage's recipe stands: its own keys at the stage, or at the notation that it was read from."""
    own = {key[len(path) + 1 :]: mark for key, mark in marks.items() if key.startswith(f"{path}.")}
    notation = marks.get("stages.rampup_batch_size") or marks.get("stages")
    if notation is not None:
        own = dict.fromkeys(keys, notation) | own
    return {**marks, **own} if own else marks


def _own_keys(stage: Stage) -> set[str]:
    return {item.name for item in fields(stage) if getattr(stage, item.name) is not None}
