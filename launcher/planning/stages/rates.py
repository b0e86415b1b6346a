"""The learning rate of a stage: a factor on the run's curve, by the rule that the recipe states."""

from __future__ import annotations

from launcher.planning.model import sequence_tokens
from launcher.planning.scaling import scale_at
from launcher.planning.stages.written import StageRecipe
from launcher.spec.recipe import Recipe

__all__ = ["stage_scale"]


def stage_scale(*, recipe: Recipe, stage: StageRecipe, global_batch_size: int) -> float:
    """Factor on the curve's learning rate in a stage, dimensionless.

    global_batch_size: sequences per step of the run's own batch, at which the curve has its peak. 1 where the learning
    rate is written: GPT-3 and BLOOM ramped their batch without touching it (bigscience-workshop/bigscience@9e64ede
    train/tr11-176B-ml).
    """
    top = scale_at(recipe, global_batch_size=global_batch_size, sequence_length=sequence_tokens(recipe))
    length = sequence_tokens(stage.recipe)
    own = scale_at(recipe, global_batch_size=stage.global_batch_size, sequence_length=length)
    return own.factor / top.factor
