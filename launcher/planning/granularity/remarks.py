"""What a plan says of sizes that the hardware rounds up: at most three notes, dearest first, each with its number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from launcher.errors import Problem
from launcher.planning.granularity.dimensions import Dimension, dimensions_of, tokens_of
from launcher.planning.granularity.waves import TILE, waves_of
from launcher.planning.layout import device_of
from launcher.planning.optimizer import precision_plan
from launcher.spec.catalog import Device
from launcher.spec.plan import BatchPlan, LayoutPlan, ModelPlan
from launcher.spec.recipe import Recipe
from launcher.units import show_count

__all__ = ["MEASURED", "granularity_problems", "groups_of"]

MEASURED = {10922: 272.73, 10944: 398.38, 10912: 395.16, 10880: 395.52, 10848: 395.62, 11008: 395.01}
"""Width of a SwiGLU layer at hidden_size 4096 to TFLOPS on an H100 in 16 bits.

Source: stas00/ml-engineering@744d01e training/performance/README.md, section "SwiGLU-based MLP".
"""
_SOURCE = "stas00/ml-engineering@744d01e training/performance"
_MOST = 2
"""Notes on dimensions beside the one on waves."""
_LEAST_SHARE, _LEAST_SHARE_OF_LARGE_GROUPS = 0.01, 0.1
_LEAST_IDLE = 0.25
_ELEMENT_BYTES = {"fp16": 2, "bf16": 2}
_KINDS_WITH_WAVES = ("decoder", "encoder", "encoder-decoder", "vit")


def granularity_problems(
    *, recipe: Recipe, model: ModelPlan | None, batch: BatchPlan | None, layout: LayoutPlan | None
) -> tuple[Problem, ...]:
    """Notes on dimensions that are no multiple of what Tensor Cores load, and on a last wave that is nearly empty."""
    if model is None or layout is None or layout.device_kind != "cuda":
        return ()
    width = _ELEMENT_BYTES.get(precision_plan(recipe=recipe, layout=layout).compute)
    if width is None:
        return ()
    found = _unaligned(recipe, model, layout, width)
    waves = () if batch is None else tuple(_waves(recipe, model, batch, layout))
    tokens = () if batch is None else tuple(_tokens(recipe, batch, layout, width))
    return (*(*found, *tokens)[:_MOST], *waves)


def groups_of(*, device: Device, element_bytes: int) -> tuple[int, int]:
    """Elements of the groups that Tensor Cores load: least, and best.

    16 bytes before Ampere (V100, T4), 128 bytes from A100 on, where 16 bytes are still the least for aligned loads.
    Source: stas00/ml-engineering@744d01e training/performance/README.md, after Anthony et al. 2024, arXiv:2401.14489;
    NVIDIA, Matrix Multiplication Background User's Guide, section 2.2.
    """
    least = 16 // element_bytes
    return least, (128 // element_bytes if device.has_bf16 else least)


def _unaligned(recipe: Recipe, model: ModelPlan, layout: LayoutPlan, width: int) -> list[Problem]:
    least, best = groups_of(device=device_of(layout), element_bytes=width)
    dimensions = dimensions_of(recipe=recipe, model=model, layout=layout)
    below = [each for each in dimensions if each.size % least and each.share >= _LEAST_SHARE]
    between = [
        each
        for each in dimensions
        if each.size % least == 0 and each.size % best and each.share >= _LEAST_SHARE_OF_LARGE_GROUPS
    ]
    notes = [
        *(_note(recipe, each, missed=least, best=best) for each in below),
        *(_note(recipe, each, missed=best, best=best) for each in between),
    ]
    evidence = _evidence(missed_least=bool(below))
    return [replace(note, because=(evidence,) if at == 0 else ()) for at, note in enumerate(notes)]


def _note(recipe: Recipe, found: Dimension, *, missed: int, best: int) -> Problem:
    tensor = found.value // found.size
    better = -(-found.size // best) * best * tensor
    cut = f" / tensor {tensor} = {found.size}" if tensor > 1 else ""
    return Problem(
        code="odd-dimension",
        severity="note",
        path=found.path,
        message=f"`{found.path}: {found.value}`{cut} is no multiple of {missed} ({100 * found.share:.0f} % of the "
        "multiplications)",
        hint=_hint(recipe, found, better),
    )


def _tokens(recipe: Recipe, batch: BatchPlan, layout: LayoutPlan, width: int) -> Iterator[Problem]:
    """An odd number of rows, which a sequence of another length would mend for every micro-batch."""
    found = tokens_of(recipe=recipe, batch=batch, layout=layout)
    least, best = groups_of(device=device_of(layout), element_bytes=width)
    if found is not None and found.size % least:
        yield Problem(
            code="odd-dimension",
            severity="note",
            path=found.path,
            message=f"`sequence_length: {found.value}` gives {found.size} tokens per micro-batch of "
            f"{batch.micro_batch_size}, no multiple of {least}",
            hint=f"write sequence_length: {-(-found.value // best) * best}",
        )


def _evidence(*, missed_least: bool) -> str:
    odd, even = (10922, 10944) if missed_least else (10912, 10944)
    what = "no multiple of 8" if missed_least else "a multiple of 32"
    return (
        f"on an H100 a width of {odd}, {what}, ran at {MEASURED[odd]:.1f} TFLOPS, {even} = 64 x {even // 64} at "
        f"{MEASURED[even]:.1f} ({_SOURCE})"
    )


def _hint(recipe: Recipe, found: Dimension, better: int) -> str:
    named = recipe.model.preset or recipe.model.config
    if found.path == "model.vocab_size":
        rows = f"the rows from {found.value} on are never a label"
        return f"pad it to {better}, {rows}" if named else f"write model.vocab_size: {better}; {rows}"
    if named:
        return f"nothing where the weights exist; {better} in a model of your own"
    return f"write {found.path}: {better}"


def _waves(recipe: Recipe, model: ModelPlan, batch: BatchPlan, layout: LayoutPlan) -> Iterator[Problem]:
    """The feed-forward layer's first product, the largest of a layer, at one micro-batch."""
    multiprocessors = device_of(layout).multiprocessors
    inner = model.intermediate_size
    if multiprocessors is None or inner is None or model.kind not in _KINDS_WITH_WAVES:
        return
    tokens = batch.micro_batch_size * (batch.sequence_length or 1) // layout.context_parallel_size
    columns = inner // layout.tensor_parallel_size
    if not tokens or not columns:  # more ranks than there is to share, which is refused elsewhere
        return
    found = waves_of(rows=tokens, columns=columns, multiprocessors=multiprocessors)
    if found.idle < _LEAST_IDLE or batch.sequence_length is None:
        return
    waves = f"{found.waves} wave{'s' if found.waves > 1 else ''}"
    yield Problem(
        code="idle-multiprocessors",
        severity="note",
        path="micro_batch_size",
        message=f"{show_count(tokens)} tokens x {show_count(columns)} of the feed-forward layer, {found.blocks} tiles "
        f"of {TILE[0]} x {TILE[1]}: {waves} on {multiprocessors} multiprocessors, {100 * found.idle:.0f} % idle",
        because=(
            f"ceil({found.blocks} / {multiprocessors}); smaller tiles fill more and run slower ({_SOURCE})",
        ),
        hint=_fuller(batch, tokens=tokens, columns=columns, multiprocessors=multiprocessors, now=found.idle)
        if recipe.micro_batch_size != "auto"
        else "",
    )


def _fuller(batch: BatchPlan, *, tokens: int, columns: int, multiprocessors: int, now: float) -> str:
    """The next micro-batch that divides the same share and idles half as much."""
    share = batch.slots_per_step // batch.data_parallel_size
    per_sequence = tokens // batch.micro_batch_size
    for size in range(batch.micro_batch_size + 1, share + 1):
        idle = waves_of(rows=size * per_sequence, columns=columns, multiprocessors=multiprocessors).idle
        if share % size == 0 and idle <= now / 2:
            return f"micro_batch_size: {size} idles {100 * idle:.0f} %, if it fits"
    return ""
