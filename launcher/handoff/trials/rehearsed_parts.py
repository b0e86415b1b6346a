"""The parts of a rehearsal, each judged by what its starts left: steps, evaluation, save, reload, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from launcher.handoff.trials.rehearsal import (
    TOLERANCES,
    bytes_below,
    is_comparable,
    node_bytes,
    reload_fault,
    same_step_fault,
)
from launcher.handoff.trials.trial import TrialEnd
from launcher.reporting.rehearse_text import RehearsedPart, show_range, show_size
from launcher.reporting.run_log import read_log, show_loss
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe

__all__ = [
    "evaluation_part",
    "host_memory_part",
    "longest_part",
    "memory_part",
    "node_budget",
    "peak_bytes",
    "reload_parts",
    "save_part",
    "steps_part",
]


def longest_part(result: RunPlan, first: TrialEnd) -> RehearsedPart:
    """Whether the first batch was the longest one."""
    name, length = "longest batch", result.batch.sequence_length
    planned = "-" if length is None else f"{length} tokens"
    if not result.launch.runtime:
        words = "a script without the runtime draws its own samples: their order stays as it is"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    found = next((record["by_length"] for record in first.records.values() if record.get("by_length")), None)
    if found is None:
        return RehearsedPart(
            name=name, planned=planned, verdict="not rehearsed", words="no rank has told of its samples"
        )
    if found["longest"] is None:
        words = "samples have no length: no `input_ids`, and no first part with len()"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    measured = f"{found['longest']} long; shortest {found['shortest']}, of {found['scanned']} samples"
    return RehearsedPart(name=name, planned=planned, measured=measured, verdict="passed")


def steps_part(result: RunPlan, first: TrialEnd, run: Path, *, steps: int) -> RehearsedPart:
    """Whether the job has done its first optimizer steps, with a loss."""
    name, planned, log = "optimizer steps", str(steps), read_log(run)
    done = _done(result, first, run)
    losses = [line.loss for line in log[:steps] if line.loss is not None]
    measured = str(min(done, steps))
    if losses:
        measured += f", loss {', '.join(map(show_loss, losses))}"
    if done < steps:
        words = f"step {done + 1}: {_why(first)}"
        if first.exit == 0:
            words = f"the script ended by itself after {done} of them"
        return RehearsedPart(name=name, planned=planned, measured=measured, verdict="failed", words=words)
    wrong = next((at for at, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    if wrong is not None:
        words = f"step {wrong}: the loss is {losses[wrong - 1]}"
        return RehearsedPart(name=name, planned=planned, measured=measured, verdict="failed", words=words)
    return RehearsedPart(name=name, planned=planned, measured=measured, verdict="passed")


def evaluation_part(recipe: Recipe, result: RunPlan, first: TrialEnd, run: Path, *, at: int) -> RehearsedPart:
    """Whether the script has evaluated after a step."""
    name, planned = "evaluation", f"after step {at}"
    missing = _untold(recipe, result, "evaluation")
    if missing:
        return RehearsedPart(name=name, verdict="not rehearsed", words=missing)
    recorded = next((line for line in read_log(run) if line.step == at), None)
    value = recorded.validation_loss if recorded else None
    if (run / "evaluation.jsonl").exists() or value is not None:
        measured = "recorded" if value is None else f"validation loss {show_loss(value)}"
        return RehearsedPart(name=name, planned=planned, measured=measured, verdict="passed")
    if any(_inspected(record).get("evaluated") for record in first.records.values()):
        return RehearsedPart(name=name, planned=planned, measured="model.eval() seen", verdict="passed")
    if first.exit:
        return RehearsedPart(name=name, planned=planned, verdict="failed", words=_why(first))
    words = f"after step {at} nothing was given to run.record, and no model.eval() was seen"
    return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)


def save_part(
    recipe: Recipe, result: RunPlan, first: TrialEnd, checkpoint: Path | None, *, at: int, steps: int
) -> RehearsedPart:
    """Whether the script has saved after a step."""
    name, planned = "save", f"after step {at}"
    missing = _untold(recipe, result, "checkpoint")
    if missing:
        return RehearsedPart(name=name, verdict="not rehearsed", words=missing)
    if checkpoint is not None:
        size = bytes_below(checkpoint) if checkpoint.is_dir() else checkpoint.stat().st_size
        measured = f"{checkpoint.name}, {show_size(size)}"
        if first.exit:
            return RehearsedPart(
                name=name, planned=planned, measured=measured, verdict="failed", words=_why(first)
            )
        return RehearsedPart(name=name, planned=planned, measured=measured, verdict="passed")
    if first.exit:
        return RehearsedPart(name=name, planned=planned, verdict="failed", words=_why(first))
    if steps == at:
        words = f"the run is over with step {at}, and a trial ends inside its last step"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    if result.launch.executor == "ssh" and result.layout.num_nodes > 1:
        words = "nothing that was saved can be seen from this machine: the hosts may share no folder with it"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    words = f"the script was to save after step {at}, and nothing lies in the checkpoint directory after step {steps}"
    return RehearsedPart(name=name, planned=planned, verdict="failed", words=words)


def reload_parts(
    recipe: Recipe,
    result: RunPlan,
    first: TrialEnd,
    second: TrialEnd | None,
    *,
    at: int,
    saved: bool,
    folder: Path,
) -> Iterable[RehearsedPart]:
    """Whether a second start goes on as if there had been no end. folder: holds the run folders of both."""
    reload, step = "reload", f"step {at + 1} again"
    if recipe.resume is None or not saved or second is None:
        words = (
            "the recipe has no `resume: {args: [...]}`" if recipe.resume is None else "there is no checkpoint"
        )
        if recipe.resume is not None and saved:
            words = f"the run is over before step {at + 1}"
        yield RehearsedPart(name=reload, verdict="not rehearsed", words=words)
        return
    went_on = f"from step {at}"
    if second.exit or not is_comparable(first, second, at=at):
        words = _why(second) if second.exit else "the witness could see no optimizer step of both starts"
        verdict = "failed" if second.exit else "not rehearsed"
        yield RehearsedPart(name=reload, planned=went_on, verdict=verdict, words=words)  # type: ignore[arg-type]
        return
    took = f"in {second.seconds:.1f} s"
    before, again = read_log(folder / "start-1"), read_log(folder / "start-2")
    fault = reload_fault(first, second, at=at)
    if again and again[0].step != at + 1:
        fault = f"the second start began with step {again[0].step}: it does not take up what was saved"
    if fault:
        yield RehearsedPart(name=reload, planned=went_on, measured=took, verdict="failed", words=fault)
        return
    yield RehearsedPart(name=reload, planned=went_on, measured=f"every bit, {took}", verdict="passed")
    losses = [line.loss for line in (*before, *again) if line.step == at + 1 and line.loss is not None]
    shown = f"loss {' and '.join(f'{loss:.6g}' for loss in losses)}" if len(losses) == 2 else "the same"
    yield _same_step(result, first, second, name=step, at=at, shown=shown)


def _same_step(
    result: RunPlan, first: TrialEnd, second: TrialEnd, *, name: str, at: int, shown: str
) -> RehearsedPart:
    compute = result.precision.compute
    tolerance = TOLERANCES["cpu" if result.layout.device_kind == "cpu" else compute]
    fault = same_step_fault(first, second, at=at, tolerance=tolerance)
    planned = f"loss within {tolerance:g}"
    if fault is None:
        return RehearsedPart(name=name, planned=planned, measured=shown, verdict="passed")
    if result.model.dropout or first.dropout:
        words = f"{fault}: the model has dropout, whose random numbers the script may not restore"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    words = f"{fault}: the restart takes other samples, or other random numbers"
    return RehearsedPart(name=name, planned=planned, verdict="failed", words=words)


def memory_part(result: RunPlan, ends: Sequence[TrialEnd]) -> RehearsedPart:
    """Peak of the rank that took most beside the plan's, and whether it is left."""
    cpu, memory, peak = result.layout.device_kind == "cpu", result.memory, peak_bytes(ends)
    name = "memory of a rank" if cpu else "device memory"
    planned = "unknown"
    if memory is not None:
        planned = show_range(memory.peak_bytes, memory.low_bytes, memory.high_bytes)
    if out := next((end.out_of_memory for end in ends if end.out_of_memory), None):
        return RehearsedPart(name=name, planned=planned, measured="out", verdict="failed", words=out)
    if peak is None:
        words = "no rank lived to tell its peak"
        return RehearsedPart(name=name, planned=planned, verdict="not rehearsed", words=words)
    usable = memory.usable_bytes if memory is not None else None
    if usable is not None and peak > usable:
        words = f"{show_size(peak)} is more than the {show_size(usable)} that may be used"
        return RehearsedPart(
            name=name, planned=planned, measured=show_size(peak), verdict="failed", words=words
        )
    words = ""
    if memory is not None and not memory.low_bytes <= peak <= memory.high_bytes:
        side = "above" if peak > memory.high_bytes else "below"
        words = f"{100 * (peak / memory.peak_bytes - 1):+.0f} % of the plan's, {side} its range; it fits"
    return RehearsedPart(name=name, planned=planned, measured=show_size(peak), verdict="passed", words=words)


def host_memory_part(result: RunPlan, ends: Sequence[TrialEnd]) -> RehearsedPart:
    """Resident peaks of all processes of one node beside what the plan counts there."""
    name, planned, taken = "memory of a node", node_budget(result), node_bytes(ends)
    said = "unknown" if planned is None else show_size(planned)
    if taken is None:
        words = "no rank lived to tell its peak"
        return RehearsedPart(name=name, planned=said, verdict="not rehearsed", words=words)
    words = ""
    if planned is not None and result.layout.device_kind != "cpu":
        words = "the plan counts weights while they load and what is offloaded; interpreters and libraries come to it"
    return RehearsedPart(name=name, planned=said, measured=show_size(taken), verdict="passed", words=words)


def node_budget(result: RunPlan) -> int | None:
    """Host memory that the plan counts for one node, in bytes: its processes on a CPU, loading and offload else."""
    memory, layout = result.memory, result.layout
    if memory is None:
        return None
    if layout.device_kind == "cpu":
        return memory.peak_bytes * layout.devices_per_node
    return sum(memory.host.values()) if memory.host else None


def peak_bytes(ends: Sequence[TrialEnd]) -> int | None:
    """Peak of the rank that took most, in bytes: on its device, or of its process on a CPU."""
    return max((record["peak_bytes"] for end in ends for record in end.records.values()), default=None)


def _done(result: RunPlan, first: TrialEnd, run: Path) -> int:
    """Optimizer steps that all ranks have done, as far as anybody has told."""
    if first.exit == 0 and len(first.records) == result.layout.world_size:
        return min(int(record["steps"]) for record in first.records.values())
    return len(read_log(run))


def _why(end: TrialEnd) -> str:
    return end.out_of_memory or end.message


def _inspected(record: object) -> dict[str, object]:
    found = record.get("inspected") if isinstance(record, dict) else None
    return found if isinstance(found, dict) else {}


def _untold(recipe: Recipe, result: RunPlan, what: str) -> str | None:
    """Why the script cannot know that it is to evaluate or to save after this step."""
    if getattr(recipe, what) is None:
        return f"the recipe has no `{what}: {{every: ...}}`"
    if result.launch.runtime:
        return None
    given = " ".join((*result.launch.args, *result.launch.env.values()))
    if f"{{{what}_every_steps}}" in given or "{plan}" in given:
        return None
    return f"nothing tells the script when: `{{{what}_every_steps}}` in launch.args would"
