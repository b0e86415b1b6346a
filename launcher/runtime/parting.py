"""One part of a run: it begins where its checkpoint stands, and its last step is the last one for the script."""

from __future__ import annotations

from launcher.errors import Problem, WorldError
from launcher.planning.stages.ledger import PlannedStep, ends_at, step_at
from launcher.spec.plan import RunPlan

__all__ = ["refuse_other_steps", "trained_step"]


def trained_step(plan: RunPlan, number: int) -> PlannedStep | None:
    """The optimizer step of a number as this job trains it; None behind the end of its part of the run."""
    step, end = step_at(plan, number), ends_at(plan)
    if step is None or plan.part is None:
        return step
    if end is not None and number > end:
        return None
    return step._replace(is_last=number == end)


def refuse_other_steps(plan: RunPlan, *, done: int) -> None:
    """Raises WorldError[part-needs-its-checkpoint] where the steps done so far do not lead into this job's part."""
    part = plan.part
    if part is None or (part.first_step - 1 <= done and (part.last_step is None or done <= part.last_step)):
        return
    end = "on" if part.last_step is None else f"to {part.last_step}"
    stands = f"the checkpoint stands after step {done}" if done else "no checkpoint was loaded"
    message = f"part {part.number} of {part.count} trains steps {part.first_step} {end}, and {stands}"
    begins = f"save where step.is_last, and give the script the checkpoint of step {part.first_step - 1}: --resume RUN"
    hint = f"--stage {part.first_stage - 1} comes first; {begins}" if done < part.first_step - 1 else begins
    raise WorldError([Problem(code="part-needs-its-checkpoint", path="stages", message=message, hint=hint)])
