"""Adam's best learning rate around a measured noise scale: it rises to there, and falls beyond."""

from __future__ import annotations

from launcher.planning.laws.answer import Answer, Law, answered, lacking, out_of_place
from launcher.planning.laws.asked import Asked
from launcher.planning.rescaling import surge_scale

__all__ = ["LAW", "ask"]

LAW = Law(
    name="surge",
    source="arXiv:2405.14578",
    gives="measured",
    fitted="Adam-like optimizers near a sign of the gradient, a quadratic loss; the rate is largest where the batch is "
    "the noise scale",
)


def ask(asked: Asked) -> Answer:
    """The measured noise scale as a batch, and the recipe's rate moved there from the recipe's batch."""
    if misplaced := out_of_place(LAW, asked=asked):
        return misplaced
    noise, length = asked.noise_sequences, asked.sequence_length
    if noise is None:
        return lacking(LAW, what="a measured noise scale (--noise-scale; batchwright advise RUN prints it)")
    assert length is not None
    here = surge_scale(batch=asked.batch_sequences, noise_scale=noise)
    rate = None if asked.learning_rate is None else asked.learning_rate / here
    return answered(
        LAW,
        asked=asked,
        inputs={"B_noise": noise},
        batch_tokens=noise * length,
        learning_rate=rate,
        remarks=(
            f"at the recipe's batch the rate would be {here:.3g} of the largest; the recipe's is taken as that",
        ),
    )
