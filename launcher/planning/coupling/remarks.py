"""What a plan says of a model that depends on how its batch is split: named, never left to be found out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from launcher.errors import Problem
from launcher.planning.coupling.batch_norm import batch_norm_problems
from launcher.planning.coupling.coupled import KNOWN, NOT_COUPLED, Coupled, coupled_of
from launcher.planning.coupling.ways import change_of_model
from launcher.planning.words import counted
from launcher.spec.plan import BatchPlan, LayoutPlan
from launcher.spec.recipe import Recipe

__all__ = ["coupling_problems"]

_WORDS = (*KNOWN, NOT_COUPLED)
_OTHER_SPELLINGS = {
    "batchnorm": "batch_norm",
    "bn": "batch_norm",
    "syncbatchnorm": "sync_batch_norm",
    "syncbn": "sync_batch_norm",
    "frozenbatchnorm": NOT_COUPLED,
    "frozenbn": NOT_COUPLED,
    "moeauxiliaryloss": "moe_auxiliary",
    "moeaux": "moe_auxiliary",
    "capacityfactor": "moe_capacity",
    "contrastiveloss": "contrastive",
}


def coupling_problems(
    *, recipe: Recipe, layout: LayoutPlan | None, batches: tuple[BatchPlan, ...]
) -> tuple[Problem, ...]:
    """Remarks on everything that the split changes, and the refusal of a batch norm over one sample.

    batches: of every stage, in order; one without stages, none where the split is not known.
    """
    found = [*_unknown_words(recipe), *_unstated(recipe)]
    coupled = coupled_of(recipe)
    names = tuple(each.name for each in coupled)
    if batches:
        found += [
            *_between_stages(names, batches),
            *_dependent(recipe, coupled, batches[-1]),
            *_of_batch_norm(recipe, names, batches),
        ]
    if layout is not None and "sync_batch_norm" in names and layout.device_kind == "cpu":
        found.append(_needs_gpu())
    return tuple(found)


def _of_batch_norm(
    recipe: Recipe, names: tuple[str, ...], batches: tuple[BatchPlan, ...]
) -> Iterator[Problem]:
    """Each remark once, of the stage with the fewest samples, or else with the most accumulation."""
    order = sorted(batches, key=lambda each: (each.micro_batch_size, -each.gradient_accumulation_steps))
    by_code: dict[str, Problem] = {}
    for batch in order:
        for problem in batch_norm_problems(recipe=recipe, coupled=names, batch=batch):
            by_code.setdefault(problem.code, problem)
    yield from by_code.values()


def _between_stages(names: tuple[str, ...], batches: tuple[BatchPlan, ...]) -> Iterator[Problem]:
    """Stages that cut their batch otherwise train one model after another."""
    changes = [
        change_of_model(coupled=names, before=before, after=after) for before, after in pairwise(batches)
    ]
    first = next((change for change in changes if change), None)
    if first is not None:
        fewest = min(batch.micro_batch_size for batch in batches)
        yield Problem(
            code="stages-change-the-model",
            severity="warning",
            path="stages",
            message=f"stages cut their batches otherwise, which changes {first}",
            because=(
                f"micro-batches of the stages: {', '.join(str(batch.micro_batch_size) for batch in batches)}",
            ),
            hint=f"write micro_batch_size: {fewest} at the top, so that only accumulation follows the batch",
        )


def _dependent(recipe: Recipe, coupled: tuple[Coupled, ...], batch: BatchPlan) -> Iterator[Problem]:
    """One note that names all that another split would change."""
    dropout = max(recipe.model.dropout, recipe.model.attention_dropout or 0.0)
    masks = f"dropout {dropout:g}: every micro-batch draws masks of its own" if dropout else ""
    split = (
        f"micro-batch {batch.micro_batch_size} on {counted(batch.data_parallel_size, 'data-parallel rank')}"
    )
    if coupled:
        names = ", ".join(each.name for each in coupled)
        verb = "depends" if len(coupled) == 1 else "depend"
        auto = recipe.micro_batch_size == "auto"
        yield Problem(
            code="split-dependent",
            severity="note",
            path="model.batch_coupled" if recipe.model.batch_coupled else "micro_batch_size",
            message=f"{names} {verb} on how the batch is split: another split than {split} is another model",
            because=(
                *(_words(each, batch) for each in coupled),
                *((masks,) if masks else ()),
                *_idle(coupled, batch),
            ),
            hint=f"write micro_batch_size: {batch.micro_batch_size}; the plan chose it, and might not elsewhere"
            if auto
            else "",
        )
    elif masks:
        yield Problem(
            code="split-dependent",
            severity="note",
            path="model.dropout",
            message=f"dropout {dropout:g} draws masks by how the batch is split: another split than {split} "
            "trains with other masks",
        )


def _words(coupled: Coupled, batch: BatchPlan) -> str:
    what = KNOWN.get(coupled.name, "known to the script alone")
    if coupled.name == "contrastive":
        what += f": {batch.micro_batch_size - 1}, and accumulation adds none"
    return f"{coupled.name}: {what}{f' ({coupled.reason})' if coupled.reason else ''}"


def _idle(coupled: tuple[Coupled, ...], batch: BatchPlan) -> tuple[str, ...]:
    """An idle slot weighs nothing in the loss, and is seen by its neighbours all the same."""
    if not batch.idle_slots or not coupled:
        return ()
    idle = counted(batch.idle_slots, "idle slot")
    return (f"{idle} repeat a sample: without weight in the loss, and seen by {coupled[0].name}",)


def _unknown_words(recipe: Recipe) -> Iterator[Problem]:
    for word in recipe.model.batch_coupled:
        if word in _WORDS:
            continue
        near = _nearest(word)
        yield Problem(
            code="unknown-coupling",
            severity="warning" if near else "note",
            path="model.batch_coupled",
            message=f"`model.batch_coupled: {word}` is none of {', '.join(_WORDS)}: the split is part of the model, "
            "and nothing else is checked",
            hint=f"write {near}" if near else "",
        )


def _nearest(word: str) -> str | None:
    plain = "".join(letter for letter in word.lower() if letter.isalnum())
    plain = plain.rstrip("123d") if "norm" in plain or plain.endswith("bn") else plain
    if plain in _OTHER_SPELLINGS:
        return _OTHER_SPELLINGS[plain]
    from difflib import get_close_matches

    near = get_close_matches(word.lower(), _WORDS, n=1, cutoff=0.8)
    return near[0] if near else None


def _unstated(recipe: Recipe) -> Iterator[Problem]:
    """A mixture's balancing loss is the script's; only the script knows whether it is there."""
    model = recipe.model
    said = any(word.startswith("moe") for word in model.batch_coupled) or model.capacity_factor is not None
    if model.num_experts and not said:
        yield Problem(
            code="coupling-unstated",
            severity="note",
            path="model.batch_coupled",
            message=f"a balancing loss over {model.num_experts} experts would see one micro-batch at a time, and the "
            "plan does not know whether the script has one",
            hint="write model.batch_coupled: [moe_auxiliary] if it has: the split is then part of the model",
        )


def _needs_gpu() -> Problem:
    return Problem(
        code="sync-batch-norm-needs-gpu",
        severity="warning",
        path="model.batch_coupled",
        message="`model.batch_coupled: sync_batch_norm` on CPU ranks: torch's SyncBatchNorm refuses their tensors",
        because=("torch@2.13.0 torch/nn/modules/batchnorm.py:SyncBatchNorm.forward",),
        hint="use group norm or layer norm, or write batch_norm for what each rank does alone",
    )
