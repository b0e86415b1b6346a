"""What the witness found, in words: planned and found, and what it could not see. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchwright_witness.environment import Difference
from batchwright_witness.factors import factor_in_words
from batchwright_witness.rates import RateCheck
from batchwright_witness.samples import Outcome
from batchwright_witness.stack_rates import Draw, given_in_words, mistake_in_words
from batchwright_witness.track import PATIENCE, STEPS, Track

if TYPE_CHECKING:
    from launcher.spec.plan import RunPlan

__all__ = [
    "models_difference",
    "place_in_words",
    "rate_difference",
    "samples_difference",
    "stage_departure",
    "summary",
]


def rate_difference(
    plan: RunPlan, check: RateCheck, *, several: bool, draw: Draw | None = None
) -> Difference:
    """The learning rate is not the plan's. draw: the function that draws a compiled schedule."""
    assert check.contradicted is not None
    assert plan.learning_rate is not None
    step, planned, found = check.contradicted
    peak, warmup = plan.learning_rate.peak_learning_rate, plan.learning_rate.warmup_steps
    which = ", in any of its optimizers" if several else ""
    if plan.learning_rate.compiled is not None and draw is not None:
        mistake = mistake_in_words(plan, step=step, found=found, draw=draw)
        return Difference(
            f"planned learning rate {planned:.6g} at optimizer step {step}, found {found:.6g}{which}",
            (*((mistake,) if mistake else ()), f"planned: {given_in_words(plan.learning_rate)}"),
            _STACK_HINTS[plan.learning_rate.owner.partition(":")[0]],
        )
    cause = factor_in_words(planned=planned, found=found, plan=plan)
    return Difference(
        f"planned learning rate {planned:.6g} at optimizer step {step}, found {found:.6g}{which}",
        (
            *((cause,) if cause else ()),
            f"planned: peak {peak:.6g} after {warmup} warmup steps; a curve one or two steps late would be accepted",
        ),
        "make the script use {peak_learning_rate}, {warmup_steps} and {total_steps}",
    )


_STACK_HINTS = {
    "engine": "leave the scheduler to DeepSpeed's configuration: build none, and initialize with {deepspeed_config}",
    "script": "build the schedule from {scheduler_name}, {scheduler_warmup_steps}, {scheduler_total_steps} and "
    "{scheduler_arguments}",
}


def samples_difference(
    plan: RunPlan, kind: str, found: tuple[Outcome, Outcome], by_rank: Sequence[Mapping[str, int]]
) -> Difference:
    """An optimizer step takes another number of samples, or of tokens."""
    batch, (first, last) = plan.batch, found
    planned: int | None = batch.slots_per_step
    formula = (
        f"{batch.micro_batch_size} micro x {batch.gradient_accumulation_steps} accumulation "
        f"x {batch.data_parallel_size} data-parallel"
    )
    hint = "make the script use {micro_batch_size} and {gradient_accumulation_steps}"
    if kind == "tokens":
        planned, formula = (
            batch.tokens_per_step,
            f"{planned} sequences x {batch.sequence_length} tokens, packed",
        )
        hint = "make the script use {sequence_length}"
    shares = [numbers.get(last.source, 0) for numbers in by_rank]
    ranks = (
        f" = {' + '.join(map(str, shares))} over the ranks" if 1 < len(shares) <= 8 and any(shares) else ""
    )
    place = place_in_words(last.source)
    return Difference(
        f"planned {planned} {kind} per optimizer step, found {last.number}",
        (
            f"planned: {formula}",
            f"found: {last.number}{ranks} at {place}, optimizer steps {first.step} and {last.step}",
        ),
        hint,
    )


def models_difference(plan: RunPlan, parameters: Sequence[float | None]) -> Difference | None:
    """The ranks' parameters, equal before the first step, are not equal after the third."""
    known = [number for number in parameters if number is not None and math.isfinite(number)]
    if len(known) < len(parameters) or len(set(known)) <= 1:
        return None
    return Difference(
        f"planned gradients averaged over {plan.layout.world_size} ranks, "
        f"found {len(set(known))} different models after optimizer step {STEPS}",
        ("averaged gradients leave the same parameters on every rank",),
        "wrap the model in DistributedDataParallel, or let Accelerate or DeepSpeed prepare it",
    )


def place_in_words(source: str) -> str:
    """`the DataLoader` or `the model's input`."""
    return "the model's input" if source.startswith("forward") else "the DataLoader"


def stage_departure(plan: RunPlan, found: int | None) -> str | None:
    """ZeRO is planned and another stage, or none, is at work: the same numbers in more or less memory, so no stop."""
    planned = plan.layout.zero_stage if plan.layout.data_strategy == "zero" else None
    if planned is None or plan.launch.engine not in {"deepspeed", "accelerate"} or planned == found:
        return None
    works = "an optimizer that steps outside of any DeepSpeed engine" if found is None else f"stage {found}"
    return f"planned ZeRO stage {planned}, found {works}"


def summary(
    plan: RunPlan,
    tracks: Sequence[Track],
    silence: str | None,
    blind: Sequence[str],
    departures: Sequence[str],
) -> dict[str, Any]:
    """What was seen of the optimizer that is the plan's, or of the first one."""
    unseen = list(blind)
    if not tracks:
        unseen.append("no optimizer step was seen: neither samples nor learning rate are proven")
        return {"optimizer_steps": 0, "unseen": unseen, "departures": list(departures)}
    track = min(
        tracks, key=lambda each: (each.rate is not None and not each.rate.agreed, not each.agreed, each.index)
    )
    unseen += [*_samples_unseen(track, silence), *_tokens_unseen(plan, track), *_rate_unseen(plan, track)]
    found = {**_facts(plan, track), "unseen": unseen, "departures": list(departures)}
    if len(tracks) > 1:
        found["optimizers"] = [_facts(plan, each) for each in tracks]
        found["departures"] += [
            f"optimizer {each.index + 1} of {len(tracks)}: {rate_difference(plan, each.rate, several=False).message}"
            for each in tracks
            if each is not track and each.rate and each.rate.contradicted
        ]
    return found


def _facts(plan: RunPlan, track: Track) -> dict[str, Any]:
    last = track.samples.outcomes[-1] if track.samples.outcomes else None
    return {
        "optimizer_steps": track.steps,
        "samples_per_step": plan.batch.global_batch_size if track.agreed and not plan.stages else None,
        "counted_at": place_in_words(last.source) if last and track.agreed else None,
        "learning_rate": track.rate.words if track.rate else None,
    }


def _samples_unseen(track: Track, silence: str | None) -> list[str]:
    if track.agreed:
        return []
    if track.steps < STEPS:
        why = f"the script did {track.steps} optimizer steps, {STEPS} are needed"
    elif silence:
        why = f"the ranks could not be asked ({silence})"
    elif not track.visible:
        why = "no DataLoader and no DDP, FSDP or DeepSpeed forward with tensors was seen"
    elif not track.samples.outcomes:
        why = f"an epoch began or ended in each of the first {min(track.steps, PATIENCE)} steps"
    else:
        found = sorted({outcome.number for outcome in track.samples.outcomes})
        why = f"they vary, {found[0]} to {found[-1]}"
    return [f"samples per optimizer step: {why}"]


def _tokens_unseen(plan: RunPlan, track: Track) -> list[str]:
    if track.tokens is None or track.tokens.agreed or track.steps < STEPS:
        return []
    return [
        f"tokens per optimizer step (planned {plan.batch.tokens_per_step}): no batch of token ids was seen"
    ]


def _rate_unseen(plan: RunPlan, track: Track) -> list[str]:
    if plan.learning_rate is None or (
        track.rate is not None and (track.rate.steps >= STEPS or track.rate.contradicted)
    ):
        return []
    if track.before is None:
        why = "the optimizer was resumed and keeps no step count"
    elif plan.stages:
        why = "the script changes the batch from stage to stage"
    elif track.rate is None:
        why = f"{plan.learning_rate.owner} applies it"
    else:
        why = f"the script did {track.steps} optimizer steps, {STEPS} are needed"
    return [f"learning rate: {why}"]
