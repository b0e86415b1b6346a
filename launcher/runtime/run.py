"""The run as a training script sees it: steps, backward, apply, and the state that a checkpoint keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from launcher.errors import Problem, WorldError
from launcher.planning.accumulation import loss_scale
from launcher.planning.stages.ledger import PlannedStep, ends_at, planned_rate, rate_at
from launcher.runtime.agreeing import agree_on_samples
from launcher.runtime.group_rates import group_rates_of
from launcher.runtime.handshake import agreement, prove
from launcher.runtime.log_entry import log_entry
from launcher.runtime.losses import summed
from launcher.runtime.noise import NoiseMeter
from launcher.runtime.parting import refuse_other_steps, trained_step
from launcher.runtime.probing import Probe
from launcher.runtime.progress import Progress
from launcher.runtime.reducers import Reducer, keep_group, reducer_of
from launcher.runtime.stability import clips, stability_of
from launcher.runtime.stack_rates import StackRates
from launcher.runtime.staging import Staging, begins_at, work_of
from launcher.runtime.state import read_state, state_of
from launcher.runtime.steps import MicroBatch, Share, Step, misused
from launcher.runtime.totals import global_sum, global_sums
from launcher.runtime.vitals import Vitals
from launcher.runtime.world import World, read_plan, read_world
from launcher.spec.plan import RunPlan

__all__ = ["Run", "start"]


def start(trained: Any, /, *, model: Any = None, environ: Mapping[str, str] | None = None) -> Run:
    """Proves that the ranks which train are the planned ones, and hands out the run.

    trained: what carries the gradients to the other ranks: DistributedDataParallel or FSDP module, DeepSpeedEngine,
        or Accelerator after `prepare` (with `model=` when it has prepared several). A bare module in a job of one.
    environ: instead of the process's own environment.

    Ends every rank with exit code 1, the difference in words, where plan and world differ.
    Raises WorldError[plan-not-found], [plan-unreadable], [gradients-not-reduced].
    """
    began = time.perf_counter()
    plan, world = read_plan(environ), read_world(environ)
    _refuse_other_axes(plan)
    reducer = reducer_of(trained, model=model, processes=world.world_size or 1)
    reports = prove(plan, world, reducer)
    run = Run(plan, world=world, reducer=reducer)
    if run.rank == 0:
        print(agreement(plan, reports, seconds=time.perf_counter() - began), flush=True)
    return run


class Run:
    """One training run on one rank. Made by `start`."""

    def __init__(self, plan: RunPlan, *, world: World, reducer: Reducer) -> None:
        self.plan, self.folder = plan, world.folder
        self.rank, self.world_size = reducer.rank, reducer.world_size
        self.samples = 0
        """Sequences consumed by the whole job so far."""
        self._reducer = reducer
        self._vitals = Vitals(plan, world=world, reducer=reducer)
        self._noise = NoiseMeter(plan, reducer=reducer)
        self._staging = Staging(plan, reducer=reducer)
        self._number = 0
        self._step: Step | None = None
        self._planned: PlannedStep | None = None
        self._loss: Any = 0.0
        self._began = 0.0
        self._num_samples: int | None = None
        self._progress: Progress | None = None
        self._probe = None if world.probe is None else Probe(world.probe, plan=plan, world=world)
        self._rates = group_rates_of(plan)
        self._stack = StackRates(plan)
        keep_group()

    def learning_rate_at(self, samples: int) -> float | None:
        """The plan's learning rate with `samples` sequences seen; None when the plan has none."""
        return rate_at(self.plan, samples)

    def steps(
        self,
        dataset: Any,
        *,
        collate: Callable[[list[Any]], Any] | None = None,
        weight: Callable[[Any], float] | None = None,
        start: int | None = None,
    ) -> Iterator[Step]:
        """Optimizer steps from where the run stands to the end of the plan.

        dataset: map-style; every rank has all of it and reads its share. Where stages change the sequence length, a
            function of the length that returns the same tokens, in the same order, cut at it.
        collate: list of samples to batch; torch's default_collate when None.
        weight: loss tokens of a sample, for `loss.weighting: tokens`; its labels other than -100 when None. (The
            denominator only: a model that shifts its labels trains the same with one more per sequence.)
        start: samples consumed before the first step, instead of where the checkpoint left.
        """
        if start is not None:
            self.samples, self._number = start, begins_at(self.plan, start) - 1
            self._rates = self._rates.going_on() if self._rates and start else self._rates
        refuse_other_steps(self.plan, done=self._number)
        share = Share(
            self.plan,
            rank=self.rank,
            dataset=dataset,
            collate=collate,
            weight=weight,
            device=self._reducer.device,
            wish=self._probe.samples if self._probe else None,
        )
        if self._probe:
            self._probe.by_length = share.by_length
        self._num_samples = agree_on_samples(
            self.plan,
            rank=self.rank,
            world_size=self.world_size,
            here=share.num_samples,
            saved=self._num_samples,
            samples=self.samples,
        )
        if self.rank == 0:
            total, resumed = self.plan.data["total_steps"], self._number > 0
            self._progress = Progress(
                self.folder,
                total_steps=total,
                last_step=ends_at(self.plan),
                resumed=resumed,
                stability=stability_of(self.plan),
                work=partial(work_of, self.plan),
            )
            unread = self._noise.opens(self.folder, resumed=resumed)
            if unread:
                self._progress.say(unread)
        while planned := trained_step(self.plan, self._number + 1):
            yield self._prepare(share, planned)
            if self._step is not None:
                raise misused(f"step {self._step.number} went without run.apply")
        if self._progress:
            self._progress.done()

    def backward(self, loss: Any, micro: MicroBatch) -> None:
        """Backward of one micro-batch, scaled so that the gradient is the weighted mean over the global batch.

        loss: a vector with the summed loss of each sequence, shape [micro], weighted here; or a scalar, the sum over
            the micro-batch with micro.weight already in it. Sums, never means: the division is by the weight of the
            whole global batch. With weighting `sequences` or `samples` each sequence counts once, whatever its entry.
        """
        step = self._step
        if step is None or micro not in step.micro_batches or micro.went_backward:
            raise misused("run.backward takes each micro-batch of the current step once")
        total = summed(loss, micro)
        micro.went_backward = True
        self._loss = self._loss + total.detach().double()
        self._vitals.pulse.backward_begins()
        self._noise.before_backward(micro)
        self._reducer.backward(total * self._scale(step))
        self._noise.after_backward(micro)
        if not micro.is_last:
            self._reducer.count()
        self._vitals.pulse.backward_ended()

    def apply(self, optimizer: Any = None) -> None:
        """Clips, sets the learning rate of this step on every group, steps, zeroes and logs.

        optimizer: what the wrapped model is trained with; a DeepSpeed engine has its own.
        """
        step, at = self._step, self._planned
        if step is None or at is None or not step.is_done:
            raise misused("run.apply comes after all micro-batches of a step")
        self._vitals.pulse.enters("optimizer")
        groups = self._reducer.groups(optimizer)
        planned = planned_rate(self.plan, at, skipped=self._stack.skipped)
        if self._rates is not None and planned is not None:
            self._rates.apply(groups, learning_rate=planned)
        self._stack.check(groups, planned=planned, step=at.number)
        used = float(groups[0]["lr"])  # an engine that owns its schedule moves on inside its step
        self._noise.before_step()
        norm, skipped = self._reducer.step(optimizer, clip=self.plan.optimizer.gradient_clipping)
        self._stack.skipped += skipped
        own = self._loss
        total, *shares = global_sums((own, *self._noise.shares()), reducer=self._reducer)
        noise = self._noise.stepped(shares, norm=norm, skipped=skipped)
        self.samples, self._number, self._step = step.samples_after, step.number, None
        if self._progress:
            self._progress.step(
                log_entry(
                    at,
                    samples=self.samples,
                    stages=self._staging.count,
                    weight=step.total_weight,
                    seconds=time.perf_counter() - self._began,
                    loss=total / step.total_weight if step.total_weight else 0.0,
                    learning_rate=used,
                    planned_learning_rate=planned,
                    gradient_norm=norm,
                    clipped=clips(self.plan, norm),
                    skipped=skipped,
                )
            )
            if noise:
                self._progress.say(noise)
        self._vitals.stepped(step.number, loss=total, own=own, skipped=skipped)
        if self._probe and not skipped:
            self._probe.stepped(rank=self.rank, world_size=self.world_size)

    def record(self, **values: float) -> None:
        """Shows and keeps numbers of the script's own at this step, such as validation_loss; rank 0 only."""
        if self._progress:
            self._progress.record(values)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, beside model and optimizer, to go on at any split of the same global batch.

        Raises WorldError[loss-not-finite] when the last step has left parameters that are not worth keeping.
        """
        self._vitals.refuse_to_save()
        state = state_of(
            self.plan,
            samples=self.samples,
            steps=self._number,
            num_samples=self._num_samples,
            factors=(self._rates and self._rates.factors) or (),
        )
        return {**state, **self._noise.state(), "skipped_steps": self._stack.skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken. Raises WorldError[resume-differs] when that was another training."""
        state = read_state(self.plan, state)
        self._noise.resume(state)
        self.samples, self._number, self._num_samples = state["samples"], state["steps"], state["num_samples"]
        self._stack.skipped = int(state.get("skipped_steps", 0))
        if self._rates is not None and self._number:
            self._rates = self._rates.going_on(state["factors"])

    def _prepare(self, share: Share, planned: PlannedStep) -> Step:
        self._began = time.perf_counter()
        self._vitals.pulse.enters("data")
        begins = self._staging.enters(planned)
        if begins and self._progress:
            self._progress.say(begins)
        here = planned._replace(samples_before=self.samples)  # `start` may lie between two steps
        micro_batches, weight = share.load(here)
        self._vitals.pulse.enters("forward")
        self._loss, self._planned = 0.0, planned
        self._step = Step(
            here,
            total_weight=global_sum(weight, reducer=self._reducer),
            micro_batches=micro_batches,
            accumulating=self._reducer.accumulating,
            resets_state=share.resets_state(here),
        )
        self._noise.begins(self._step, own_weight=weight)
        return self._step

    def _scale(self, step: Step) -> float:
        if not step.total_weight:  # nothing in this batch is to be learned
            return 0.0
        return loss_scale(
            reducer=self._reducer.division,
            data_parallel_size=step.batch.data_parallel_size,
            gradient_accumulation_steps=self._reducer.divides_by,
            total_weight=step.total_weight,
        )


def _refuse_other_axes(plan: RunPlan) -> None:
    """Ranks that share a sequence would each be given one of their own."""
    if plan.batch.data_parallel_size == plan.layout.world_size:
        return
    message = (
        f"{plan.layout.world_size} ranks hold {plan.batch.data_parallel_size} different shares of the batch"
    )
    hint = "leave launch.runtime out, and let the script hand out its samples"
    raise WorldError([Problem(code="not-yet-supported", path="parallel", message=message, hint=hint)])
