"""Batch norm: how many samples its statistics have, which are too few, and what accumulation does to its averages.

Not here: what a layer computes; only how many samples it sees.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from launcher.errors import Problem
from launcher.planning.divisors import divisors
from launcher.planning.words import counted
from launcher.spec.plan import BatchPlan
from launcher.spec.recipe import Recipe

__all__ = [
    "ENOUGH",
    "FEW",
    "FEWEST",
    "PUBLISHED_ERRORS",
    "batch_norm_problems",
    "momentum_at",
    "statistics_size",
]

ENOUGH = 16
"""Samples from which on statistics cost nothing that can be seen."""
FEW = 8
"""Samples below which the error grows by percents."""
FEWEST = 2
"""Samples below which there is no variance over samples."""
PUBLISHED_ERRORS = {
    32: (23.6, 24.1),
    16: (23.7, 24.2),
    8: (24.8, 24.0),
    4: (27.3, 24.2),
    2: (34.7, 24.1),
}
"""Images of a GPU to the validation error of ResNet-50 on ImageNet in %: batch norm, group norm.

Source: Wu & He 2018, arXiv:1803.08494, table 2; read in papers that quote it.
"""
MOMENTUM = 0.1
"""Share of the newest statistics in a running average where nobody chose one: torch's default.

Source: torch@2.13.0 torch/nn/modules/batchnorm.py:_NormBase.__init__.
"""


def statistics_size(
    *, coupled: Collection[str], micro_batch_size: int, data_parallel_size: int
) -> int | None:
    """Samples that one batch norm takes its mean and variance over; None where no layer is one.

    SyncBatchNorm gathers the ranks of one forward pass, never the micro-batches of a step.
    Source: torch@2.13.0 torch/nn/modules/_functions.py:SyncBatchNorm.forward.
    """
    if "batch_norm" in coupled:
        return micro_batch_size
    return micro_batch_size * data_parallel_size if "sync_batch_norm" in coupled else None


def momentum_at(*, samples: float, reference_samples: float, momentum: float = MOMENTUM) -> float:
    """Momentum of running averages that forgets over as many samples: 1 - (1 - m) ** (b' / b), dimensionless.

    momentum is what suits forward passes of `reference_samples`; torch counts one update per forward pass.
    Source: our algebra, from torch's x = (1 - m) x + m new.
    Checked: torch's BatchNorm1d, tests/planning/coupling/test_real_batch_norm.py.
    """
    return -math.expm1(samples / reference_samples * math.log1p(-momentum))


def batch_norm_problems(*, recipe: Recipe, coupled: Collection[str], batch: BatchPlan) -> tuple[Problem, ...]:
    """What the split does to batch norm: too few samples, running averages updated several times per step."""
    size = statistics_size(
        coupled=coupled,
        micro_batch_size=batch.micro_batch_size,
        data_parallel_size=batch.data_parallel_size,
    )
    return () if size is None else tuple(_problems(recipe, coupled, batch, size))


def _problems(recipe: Recipe, coupled: Collection[str], batch: BatchPlan, size: int) -> Iterator[Problem]:
    plain = "batch_norm" in coupled
    if size < FEWEST:
        yield Problem(
            code="batch-norm-too-small",
            path="micro_batch_size",
            message=f"batch norm over {counted(size, 'sample')}: {_where(batch, plain=plain)}",
            because=("the mean and variance of one sample are not those of the data", _table()),
            hint=_way_out(batch, plain=plain),
        )
    elif size < ENOUGH:
        strongly = size < FEW
        yield Problem(
            code="batch-norm-small",
            severity="warning",
            path="micro_batch_size",
            message=f"batch norm over {counted(size, 'sample')} {'loses accuracy' if strongly else 'is noisy'}: "
            f"{_where(batch, plain=plain)}",
            because=(_table(),),
            hint=_way_out(batch, plain=plain),
        )
    recomputed = recipe.activation_checkpointing == "full"
    if batch.gradient_accumulation_steps > 1 or recomputed:
        yield _accumulates(batch, size, recomputed=recomputed)


def _where(batch: BatchPlan, *, plain: bool) -> str:
    micro = f"micro-batch {batch.micro_batch_size}"
    return (
        f"{micro} on each rank"
        if plain
        else f"{micro} x {counted(batch.data_parallel_size, 'data-parallel rank')}"
    )


def _table() -> str:
    norms = ("batch norm", "group norm")
    rows = (
        f"{name} {', '.join(str(errors[at]) for errors in PUBLISHED_ERRORS.values())}"
        for at, name in enumerate(norms)
    )
    sizes = ", ".join(str(size) for size in PUBLISHED_ERRORS)
    return f"ResNet-50, error in % at {sizes} images per GPU: {'; '.join(rows)} (arXiv:1803.08494)"


def _way_out(batch: BatchPlan, *, plain: bool) -> str:
    """The micro-batch that suffices where a rank holds as many samples, else statistics over the ranks."""
    share = batch.slots_per_step // batch.data_parallel_size
    enough = ENOUGH if plain else -(-ENOUGH // batch.data_parallel_size)
    larger = [size for size in divisors(share) if size > batch.micro_batch_size]
    ways = (
        [f"write micro_batch_size: {next((size for size in larger if size >= enough), larger[-1])}"]
        if larger
        else []
    )
    if plain and batch.data_parallel_size > 1:
        ways.append("use SyncBatchNorm and write model.batch_coupled: [sync_batch_norm]")
    ways.append("use group norm, layer norm or frozen statistics")
    return "; or ".join(ways)


def _accumulates(batch: BatchPlan, size: int, *, recomputed: bool) -> Problem:
    """Running averages are updated in every forward pass, in one that only recomputes activations too."""
    passes = batch.gradient_accumulation_steps
    updates = passes * 2 if recomputed else passes
    momentum = momentum_at(samples=1, reference_samples=updates)
    what = f"{passes} forward passes of {counted(size, 'sample')} per step, each with statistics of its own"
    twice = "activation_checkpointing: full runs every forward pass twice" if recomputed else ""
    return Problem(
        code="batch-norm-accumulates",
        severity="warning",
        path="gradient_accumulation_steps" if passes > 1 else "activation_checkpointing",
        message=f"batch norm does not see the accumulated batch: {what}"
        if passes > 1
        else f"batch norm counts every sample twice in its running averages: {twice}",
        because=(
            *((twice,) if recomputed and passes > 1 else ()),
            f"its running averages are updated {updates} times per step (pytorch#46516, pytorch-lightning#17446)",
            (
                f"to forget over as many samples as momentum {MOMENTUM:g} with one update per step: "
                f"{momentum:.4g} = 1 - (1 - {MOMENTUM:g})^(1/{updates})"
            ),
        ),
        hint=f"set the momentum of the model's batch norms to {momentum:.4g}, or use a norm that sees one sample",
    )
