"""Which sample a slot of a step holds, in whichever order the plan reads its data."""

from __future__ import annotations

from typing import NamedTuple

from launcher.planning.sample_order import lane_index, piece_index, sample_index
from launcher.planning.stages.ledger import PlannedStep, stages_of
from launcher.planning.stages.whole_sequences import longest_length
from launcher.spec.plan import ModelPlan, RunPlan

__all__ = ["Stream", "carries_state", "stream_of"]


class Stream(NamedTuple):
    """The endless stream of all epochs."""

    seed: int
    num_samples: int
    """Of one epoch, in sequences of the longest length."""
    longest: int | None = None
    """Tokens of the longest sequence where stages change the length; None where they do not."""
    lanes: bool = False
    """Whether each slot reads a stretch of the data of its own."""

    def sample(self, step: PlannedStep, slot: int) -> int:
        """Place in the data of the sample in one slot, counted in sequences of the step's own length."""
        length = step.batch.sequence_length
        if self.longest is not None and length is not None and step.tokens_before is not None:
            return piece_index(
                seed=self.seed,
                tokens_before=step.tokens_before + slot * length,
                length=length,
                longest=self.longest,
                num_chunks=self.num_samples,
            )
        position = step.samples_before + slot
        if self.lanes:
            size = step.batch.global_batch_size
            return lane_index(position=position, global_batch_size=size, num_samples=self.num_samples)
        return sample_index(seed=self.seed, position=position, num_samples=self.num_samples)

    def begins_lanes(self, step: PlannedStep) -> bool:
        """Whether every slot reads its stretch from the start in a step."""
        steps = self.num_samples // step.batch.global_batch_size
        return self.lanes and step.samples_before // step.batch.global_batch_size % steps == 0


def carries_state(model: ModelPlan) -> bool:
    """Whether a recurrent model goes on from the state in which it left the last step: model.carry_state."""
    return bool(model.others.get("carry_state"))


def stream_of(plan: RunPlan, *, num_samples: int) -> Stream:
    """The stream of a plan over data of `num_samples` sequences of its longest length."""
    lengths = (stage.batch.sequence_length for stage in stages_of(plan))
    return Stream(
        seed=plan.seed,
        num_samples=num_samples,
        longest=longest_length(lengths),
        lanes=carries_state(plan.model),
    )
