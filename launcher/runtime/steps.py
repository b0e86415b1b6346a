"""Optimizer steps and this rank's micro-batches in them. Which sample goes where is a function of the plan alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.accumulation import micro_batch_slots
from launcher.planning.stages.ledger import PlannedStep, stages_of
from launcher.planning.stream import stream_of
from launcher.runtime.by_length import ByLength, by_length
from launcher.runtime.lengths import datasets_of, read_samples
from launcher.spec.plan import BatchPlan, RunPlan

__all__ = ["MicroBatch", "Share", "Step", "label_count", "misused"]

IGNORED = -100  # the label that torch's cross_entropy leaves out, and every Hugging Face collator writes


class MicroBatch:
    """One forward and backward on this rank.

    batch: what `collate` made of the samples; its length is always the micro_batch_size of the step's stage.
    indices: places in the dataset of its sequences, idle slots left out.
    loss_weight: of its sequences together; of the first micro-batch of a step only.
    """

    def __init__(
        self,
        *,
        batch: Any,
        weight: Any,
        indices: tuple[int, ...],
        number: int,
        is_last: bool,
        loss_weight: float = 0.0,
    ) -> None:
        self.loss_weight = loss_weight
        self.batch, self.indices, self.number, self.is_last = batch, indices, number, is_last
        self.weights = weight
        self.weight_was_read = False
        self.went_backward = False

    @property
    def weight(self) -> Any:
        """One number per sequence, shape [micro]: 1 for a sequence, 0 for an idle slot."""
        self.weight_was_read = True
        return self.weights

    @property
    def idle_slots(self) -> int:
        """Slots that hold a repeated sample and weigh nothing."""
        return len(self.weights) - len(self.indices)


class Step:
    """One optimizer step: iterate over it once for this rank's micro-batches.

    number: counted from 1 over the whole run. size: sequences in it, over all ranks. is_last: it ends the run, or the
        part of it that this job trains.
    stage: counted from 1. batch: how the stage splits its global batch. ends_stage: the next step is another stage's.
    resets_state: carried recurrent state is to be zero before it, as every slot reads its data from their start.
    """

    def __init__(
        self,
        planned: PlannedStep,
        *,
        total_weight: float,
        micro_batches: Sequence[MicroBatch],
        accumulating: Callable[[], AbstractContextManager[Any]],
        resets_state: bool = False,
    ) -> None:
        self.number, self.is_last, self.size = planned.number, planned.is_last, planned.size
        self.samples_before, self.samples_after = planned.samples_before, planned.samples_after
        self.stage, self.batch = planned.stage + 1, planned.batch
        self.ends_stage, self.resets_state = planned.ends_stage, resets_state
        self.total_weight, self.micro_batches, self._accumulating = total_weight, micro_batches, accumulating

    def __iter__(self) -> Iterator[MicroBatch]:
        for micro in self.micro_batches:
            # around the forward too, as DDP's no_sync needs it
            with nullcontext() if micro.is_last else self._accumulating():
                yield micro
            if not micro.went_backward:
                raise misused(f"micro-batch {micro.number} of step {self.number} went without run.backward")

    @property
    def is_done(self) -> bool:
        return all(micro.went_backward for micro in self.micro_batches)


class Share:
    """What one rank holds of every global batch, drawn from a dataset with a length.

    dataset: or a function of the sequence length that returns one, where stages change the length.
    num_samples: sequences of the longest length in one epoch: the plan's, so that the order is planned before a dataset
        exists; else the dataset's length.
    wish: which samples a trial wants first (by_length); the planned order where there is none.
    """

    def __init__(
        self,
        plan: RunPlan,
        *,
        rank: int,
        dataset: Any,
        collate: Callable[[list[Any]], Any] | None = None,
        weight: Callable[[Any], float] | None = None,
        device: Any = None,
        wish: str | None = None,
    ) -> None:
        self.plan, self.rank, self.device = plan, rank, device
        self._datasets = datasets_of(plan, dataset)
        self.num_samples = read_samples(plan, self._datasets)
        self._stream = stream_of(plan, num_samples=self.num_samples)
        self.by_length = self._ordered(wish) if wish else None
        self._collate = collate
        self._weigh = _weigher(plan, weight)

    def load(self, step: PlannedStep) -> tuple[list[MicroBatch], float]:
        """This rank's micro-batches of a step, and the sum of their weights."""
        batch, dataset = step.batch, self._datasets[step.batch.sequence_length]
        shares = [self.indices(step, micro_step) for micro_step in range(batch.gradient_accumulation_steps)]
        samples = [[dataset[index] for index in share] for share in shares]
        weight = float(sum(self._weigh(sample) for share in samples for sample in share))
        # an idle slot repeats a sample: shapes stay static and its loss stays finite, so that 0 x loss is 0
        idle = any(len(share) < batch.micro_batch_size for share in shares)
        filler = dataset[self._index(step, 0)] if idle else None
        return [
            self._micro(*pair, number, filler, batch)
            for number, pair in enumerate(zip(shares, samples, strict=True))
        ], weight

    def indices(self, step: PlannedStep, micro_step: int) -> tuple[int, ...]:
        """Places in the dataset of the sequences that this rank holds in one micro step."""
        batch = step.batch
        slots = micro_batch_slots(
            micro_step=micro_step,
            rank=self.rank,
            micro_batch_size=batch.micro_batch_size,
            data_parallel_size=batch.data_parallel_size,
            samples_in_step=step.size,
        )
        return tuple(self._index(step, slot) for slot in slots)

    def resets_state(self, step: PlannedStep) -> bool:
        """Whether every slot reads its stretch of the data from the start in a step."""
        return self._stream.begins_lanes(step)

    def _ordered(self, wish: str) -> ByLength:
        batch = stages_of(self.plan)[0].batch
        dataset = self._datasets[batch.sequence_length]
        samples = min(self.num_samples, len(dataset))
        return by_length(dataset, num_samples=samples, wish=wish, first_batch=batch.global_batch_size)

    def _index(self, step: PlannedStep, slot: int) -> int:
        place = step.samples_before + slot
        if self.by_length is not None and step.stage == 0 and place < len(self.by_length.indices):
            return self.by_length.indices[place]
        return self._stream.sample(step, slot)

    def _micro(
        self, indices: tuple[int, ...], samples: list[Any], number: int, filler: Any, batch: BatchPlan
    ) -> MicroBatch:
        import torch

        idle = batch.micro_batch_size - len(samples)
        if self._collate is None:
            from torch.utils.data import default_collate

            self._collate = default_collate
        return MicroBatch(
            batch=self._collate([*samples, *[filler] * idle]),
            weight=torch.tensor([1.0] * len(samples) + [0.0] * idle, device=self.device),
            indices=indices,
            number=number,
            loss_weight=0.0 if number else float(sum(map(self._weigh, samples))),
            is_last=number == batch.gradient_accumulation_steps - 1,
        )


def label_count(sample: Any) -> int:
    """Loss tokens of a sample: labels that are not -100. Raises WorldError[loss-weights-unknown] without labels."""
    labels = sample.get("labels") if isinstance(sample, Mapping) else getattr(sample, "labels", None)
    if labels is None:
        raise WorldError(
            [
                Problem(
                    code="loss-weights-unknown",
                    message=f"loss.weighting is tokens, and a sample of type `{type(sample).__name__}` has no labels",
                    hint="run.steps(dataset, weight=lambda sample: number of its loss tokens)",
                )
            ]
        )
    counted = labels != IGNORED
    return int(counted.sum()) if hasattr(counted, "sum") else sum(label != IGNORED for label in labels)


def misused(message: str) -> WorldError:
    """A training loop that calls the runtime out of order."""
    hint = (
        "for step in run.steps(...): for micro in step: run.backward(loss, micro); then run.apply(optimizer)"
    )
    return WorldError([Problem(code="loop-misused", message=message, hint=hint)])


def _weigher(plan: RunPlan, weight: Callable[[Any], float] | None) -> Callable[[Any], float]:
    if plan.loss["weighting"] == "tokens":
        return weight or label_count
    return lambda _: 1.0
