"""The batch a reference learning rate was tuned at, and how this run's batch compares with it."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

from launcher.planning.model import sequence_tokens
from launcher.spec.recipe import Recipe

__all__ = ["Ratio", "Reference", "batch_ratio", "reference_of"]


class Reference(NamedTuple):
    """A batch of `sequences` per step, of `sequence_length` tokens each (None where sequences have no length)."""

    sequences: Fraction
    sequence_length: int | None
    in_tokens: bool
    """Whether it was written in tokens."""

    @property
    def tokens(self) -> Fraction | None:
        """Tokens per step."""
        return None if self.sequence_length is None else self.sequences * self.sequence_length


class Ratio(NamedTuple):
    """kappa, one batch over the reference batch, dimensionless; both in `unit`."""

    batch: Fraction
    reference: Fraction
    unit: Literal["samples", "tokens"]

    @property
    def kappa(self) -> Fraction:
        """The ratio, exact."""
        return self.batch / self.reference


def reference_of(recipe: Recipe) -> Reference | None:
    """The reference batch; None where none is written, or tokens of it cannot become sequences.

    Its sequences are as long as this run's where optimizer.reference_sequence_length says nothing else.
    """
    optimizer = recipe.optimizer
    length = optimizer.reference_sequence_length or sequence_tokens(recipe)
    if optimizer.reference_batch_tokens is not None:
        if length is None:
            return None
        return Reference(optimizer.reference_batch_tokens.number / length, length, in_tokens=True)
    if optimizer.reference_batch_size is None:
        return None
    return Reference(Fraction(optimizer.reference_batch_size), length, in_tokens=False)


def batch_ratio(
    reference: Reference, *, global_batch_size: int | Fraction, sequence_length: int | None
) -> Ratio:
    """A batch compared with the reference: in sequences while they are equally long, else in tokens.

    Twice as many sequences of half the tokens are the same batch.
    """
    batch, tokens = Fraction(global_batch_size), reference.tokens
    same = sequence_length == reference.sequence_length and not reference.in_tokens
    if same or sequence_length is None or tokens is None:
        return Ratio(batch, reference.sequences, "samples")
    return Ratio(batch * sequence_length, tokens, "tokens")
