"""Reinforcement learning: what a plan means by batch there, said once, and what it does not do."""

from __future__ import annotations

from launcher.errors import Problem
from launcher.planning.words import counted
from launcher.spec.plan import BatchPlan
from launcher.spec.recipe import Recipe

__all__ = ["reinforcement_problems"]


def reinforcement_problems(*, recipe: Recipe, batch: BatchPlan | None) -> tuple[Problem, ...]:
    """A note for `loss.kind: policy_gradient`: the batch of a plan is the minibatch of one optimizer step.

    Source: Schulman et al. 2017, arXiv:1707.06347 (minibatches of horizon x actors); Shao et al. 2024, arXiv:2402.03300
    (groups of outputs per prompt); PrimeIntellect-ai/prime-rl#2562 (tokens per rank); McCandlish et al. 2018,
    arXiv:1812.06162 (noise scale of reinforcement learning).
    """
    if recipe.loss.kind != "policy_gradient" or batch is None:
        return ()
    optimizer, size = recipe.optimizer, batch.global_batch_size
    split = (
        f"{batch.micro_batch_size} micro x {batch.gradient_accumulation_steps} accumulation x "
        f"{counted(batch.data_parallel_size, 'rank')}"
    )
    chooses = optimizer.reference_learning_rate is not None and optimizer.scaling == "auto"
    weighting = (
        "" if "loss.weighting" in recipe.marks else "; nobody wrote loss.weighting, the plan takes tokens"
    )
    note = Problem(
        code="on-policy-batch",
        severity="note",
        path="loss.kind",
        message=f"`loss.kind: policy_gradient`: the global batch of {size} is the minibatch of one optimizer step, not "
        "what is collected before it (environments x horizon, prompts x group)",
        because=(
            f"{split} lie inside one minibatch, and advantages are normalised over all of it (prime-rl#2562)",
            f"the mean over tokens and the mean over sequences are different objectives{weighting}",
            "no rule follows the batch: the noise scale is orders larger than elsewhere, and drifts (arXiv:1812.06162)",
        ),
        hint=_hint(writes_weighting=bool(weighting), chooses_rule=chooses),
    )
    return (note,)


def _hint(*, writes_weighting: bool, chooses_rule: bool) -> str:
    if writes_weighting:
        return "write loss.weighting: tokens, or sequences"
    return "write optimizer.scaling: sqrt, or none" if chooses_rule else ""
