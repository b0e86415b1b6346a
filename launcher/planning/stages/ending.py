"""The end of a run with stages: what its last mark has to agree with, and which stages it never reaches."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.schedule import Timeline
from launcher.planning.stages.timeline import Course
from launcher.planning.stages.written import StageRecipe

__all__ = ["end_problems"]


def end_problems(
    *, stages: tuple[StageRecipe, ...], course: Course, timeline: Timeline
) -> tuple[Problem, ...]:
    """A last mark that is not the end of the run, and stages that begin after it."""
    return (*_last_mark(stages[-1], course, timeline), *_not_reached(stages, course, timeline))


def _last_mark(last: StageRecipe, course: Course, timeline: Timeline) -> tuple[Problem, ...]:
    if last.end is None:
        return ()
    amount, unit = last.end
    steps = course.steps_to(amount, given=unit)
    if steps == timeline.total_steps:
        return ()
    end = "no end" if timeline.total_steps is None else f"{timeline.total_steps} steps"
    problem = Problem(
        code="last-stage-ends",
        path=f"{last.path}.until",
        message=f"`{last.path}.until: {last.written.until}` ends the last stage, and nothing says what comes after it",
        because=(f"it ends after {steps} steps, and the run has {end}",),
        hint=f"drop {last.path}.until, or write schedule.length: {last.written.until}",
    )
    return (problem,)


def _not_reached(stages: tuple[StageRecipe, ...], course: Course, timeline: Timeline) -> tuple[Problem, ...]:
    total = timeline.total_steps
    if total is None:
        return ()
    reached = 1 + course.leg_of(total)
    if reached == len(stages):
        return ()
    following = stages[reached]
    left = (
        f"stage {len(stages)} is"
        if reached + 1 == len(stages)
        else f"stages {reached + 1} to {len(stages)} are"
    )
    first = course.legs[reached].steps_before + 1
    problem = Problem(
        code="stage-not-reached",
        severity="warning",
        path=following.path,
        message=f"{left} never reached: the run ends in stage {reached} of {len(stages)}",
        because=(f"the run has {total} steps, and stage {reached + 1} would begin with step {first}",),
        hint="train longer, or drop what is not reached",
    )
    return (problem,)
