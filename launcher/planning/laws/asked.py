"""What the laws are asked: a model, its data and what the recipe says of batch and learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.planning.laws.parameters import Counted, counted
from launcher.planning.memory.from_recipe import network_of
from launcher.planning.model import sequence_tokens
from launcher.planning.reference import reference_of
from launcher.spec.plan import RunPlan
from launcher.spec.recipe import Recipe

__all__ = ["Asked", "asked_of", "tokens_of_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One training run, as far as a law may depend on it; None for what is not known."""

    kind: str
    optimizer: str
    pretraining: bool = True
    """Whether all weights are trained; not with an adapter or frozen parts."""
    parameters: Counted | None = None
    hidden_size: int | None = None
    num_layers: int | None = None
    sequence_length: int | None = None
    batch_sequences: int = 1
    learning_rate: float | None = None
    """Peak."""
    weight_decay: float = 0.0
    run_tokens: float | None = None
    """Tokens trained on over the whole run, D."""
    epoch_tokens: float | None = None
    """Tokens of the data."""
    loss_token_share: float | None = None
    """Share of the tokens that the loss counts."""
    loss: float | None = None
    """Training loss at the point of interest, in nats per token."""
    reference_batch_tokens: float | None = None
    """Batch that was found best in a run before."""
    reference_run_tokens: float | None = None
    """Tokens of that run."""
    reference_learning_rate: float | None = None
    noise_sequences: float | None = None
    """Measured gradient noise scale, in sequences."""
    num_stages: int = 1
    """Stages of the run; batch and length above are the ones written at the top of the recipe."""

    @property
    def batch_tokens(self) -> int | None:
        """Tokens per optimizer step."""
        return None if self.sequence_length is None else self.batch_sequences * self.sequence_length


def asked_of(
    *,
    recipe: Recipe,
    plan: RunPlan,
    run_tokens: float | None = None,
    loss: float | None = None,
    reference_run_tokens: float | None = None,
    noise_sequences: float | None = None,
) -> Asked:
    """The question that a recipe asks; what is given beside it goes before what the recipe says."""
    model, rate, length = plan.model, plan.learning_rate, sequence_tokens(recipe)
    return Asked(
        kind=model.kind,
        optimizer=recipe.optimizer.name,
        pretraining=recipe.model.adapter is None and not recipe.model.frozen,
        parameters=None if model.kind == "module" else counted(network_of(recipe=recipe, model=model)),
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        sequence_length=length,
        batch_sequences=plan.batch.global_batch_size,
        learning_rate=None if rate is None else rate.peak_learning_rate,
        weight_decay=recipe.optimizer.weight_decay,
        run_tokens=run_tokens if run_tokens is not None else tokens_of_run(recipe=recipe, plan=plan),
        epoch_tokens=_epoch_tokens(recipe, plan),
        loss_token_share=recipe.data.loss_token_fraction,
        loss=loss,
        reference_batch_tokens=_reference_tokens(recipe),
        reference_run_tokens=reference_run_tokens,
        reference_learning_rate=None if rate is None else rate.reference_learning_rate,
        noise_sequences=noise_sequences,
        num_stages=len(plan.stages or ()) or 1,
    )


def tokens_of_run(*, recipe: Recipe, plan: RunPlan) -> float | None:
    """Tokens trained on over the whole run, padding not counted; None where the run has no end or no tokens."""
    if plan.stages and len(plan.stages) > 1:
        last = plan.stages[-1]
        if last.tokens_before is None or last.steps is None or last.batch.tokens_per_step is None:
            return None
        return float(last.tokens_before + last.steps * last.batch.tokens_per_step)
    samples, tokens = plan.data.get("total_samples"), _tokens_of_sample(recipe)
    return None if samples is None or tokens is None else float(samples) * tokens


def _epoch_tokens(recipe: Recipe, plan: RunPlan) -> float | None:
    samples, tokens = plan.data.get("num_samples"), _tokens_of_sample(recipe)
    return None if samples is None or tokens is None else float(samples) * tokens


def _reference_tokens(recipe: Recipe) -> float | None:
    reference = reference_of(recipe)
    return None if reference is None or reference.tokens is None else float(reference.tokens)


def _tokens_of_sample(recipe: Recipe) -> float | None:
    data = recipe.data
    if data.packing != "packed" and data.mean_length is not None:
        return data.mean_length
    return sequence_tokens(recipe)
