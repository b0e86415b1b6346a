"""A file of lengths held against a recipe: a row for each sequence length, and what the recipe should say."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors import Problem
from launcher.planning.lengths.histogram import Histogram
from launcher.planning.lengths.marks import marks_of
from launcher.planning.lengths.pairs import Pair, Pairs
from launcher.planning.lengths.rows import LengthRow, row_of, sequences_of_pass
from launcher.spec.plan import BatchPlan
from launcher.spec.recipe import EncoderDecoderLength, Recipe

__all__ = ["Advice", "LengthsReport", "OwnLength", "lengths_report", "no_sequences"]

_LAYOUT = {"padded": "padded", "none": "micro_batch", "packed": "concatenated"}
_ROUNDING = 0.01
"""Shares below are as good as none: sizes and fractions are written with two or three digits."""
_FAR = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLength:
    """What the recipe's own sequence length, batch and packing come to."""

    sequence_length: int | Pair
    """The recipe's, or its first stage's where it writes none itself."""
    layout: str
    """One of rows.LAYOUTS."""
    sequences_per_epoch: int
    steps_per_epoch: int
    tokens_per_step: float
    """Tokens that one step trains on, padding left out; the mean over an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Values of `data` that the file gives."""

    num_samples: int
    num_tokens: int
    mean_length: float
    """Tokens of a sample that the recipe trains on: after truncation, but where packing cuts nothing off."""
    loss_token_fraction: float
    """Share of the slots that hold a token; the most that loss_token_fraction can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthsReport:
    """Everything `batchwright data` tells."""

    lengths: Histogram | Pairs
    micro_batch_size: int
    global_batch_size: int
    rows: tuple[LengthRow, ...]
    own: OwnLength
    advice: Advice
    problems: tuple[Problem, ...]

    @property
    def own_row(self) -> LengthRow:
        """The row of the recipe's sequence length."""
        return next(row for row in self.rows if row.sequence_length == self.own.sequence_length)


def no_sequences(recipe: Recipe) -> Problem | None:
    """Why lengths have nothing to do with a recipe."""
    if own_lengths(recipe):
        return None
    return Problem(
        code="no-sequences",
        path="model.kind",
        message=f"`model.kind: {recipe.model.kind}` without sequence_length: lengths of samples change nothing",
        hint="write sequence_length, if the model reads sequences",
    )


def own_lengths(recipe: Recipe) -> tuple[int, ...] | tuple[Pair, ...]:
    """The recipe's sequence lengths, that of the whole recipe first, then those of its stages."""
    written = [recipe.sequence_length, *(stage.sequence_length for stage in recipe.stages)]
    pairs = [(length.input, length.target) for length in written if isinstance(length, EncoderDecoderLength)]
    return tuple(dict.fromkeys(pairs)) or tuple(
        dict.fromkeys(length for length in written if isinstance(length, int))
    )


def lengths_report(*, lengths: Histogram | Pairs, recipe: Recipe, batch: BatchPlan) -> LengthsReport:
    """The file's lengths at every sequence length worth looking at.

    batch: the plan's, for micro_batch_size and global_batch_size.
    """
    own = own_lengths(recipe)
    rows = tuple(
        row_of(lengths, sequence_length=mark, micro_batch_size=batch.micro_batch_size, own=mark in own)
        for mark in marks_of(lengths, own=own)
    )
    row = next(each for each in rows if each.sequence_length == own[0])
    layout = _LAYOUT[recipe.data.packing]
    if row.slots[layout] is None:  # an encoder-decoder's sides are not packed
        layout = "padded"
    advice = _advice(lengths, row, layout)
    return LengthsReport(
        lengths=lengths,
        micro_batch_size=batch.micro_batch_size,
        global_batch_size=batch.global_batch_size,
        rows=rows,
        own=_own(lengths, row, layout, batch, drop_last=recipe.data.drop_last),
        advice=advice,
        problems=tuple(_problems(recipe, row, layout, advice)),
    )


def _trained(lengths: Histogram | Pairs, row: LengthRow, layout: str) -> int:
    """Tokens that one pass trains on."""
    return lengths.num_tokens if layout == "concatenated" else row.kept_tokens


def _own(
    lengths: Histogram | Pairs, row: LengthRow, layout: str, batch: BatchPlan, *, drop_last: bool
) -> OwnLength:
    sequences = sequences_of_pass(row, layout=layout, num_samples=lengths.num_samples)
    whole, rest = divmod(sequences, batch.global_batch_size)
    return OwnLength(
        sequence_length=row.sequence_length,
        layout=layout,
        sequences_per_epoch=sequences,
        steps_per_epoch=whole + (1 if rest and not drop_last else 0),
        tokens_per_step=_trained(lengths, row, layout) / sequences * batch.global_batch_size,
    )


def _advice(lengths: Histogram | Pairs, row: LengthRow, layout: str) -> Advice:
    tokens, slots = _trained(lengths, row, layout), row.slots[layout]
    assert slots is not None
    return Advice(
        num_samples=lengths.num_samples,
        num_tokens=lengths.num_tokens,
        mean_length=tokens / lengths.num_samples,
        loss_token_fraction=min(1.0, tokens / slots),
    )


def _problems(recipe: Recipe, row: LengthRow, layout: str, advice: Advice) -> list[Problem]:
    """What the recipe says of its data and the file does not."""
    data = recipe.data
    found = []
    for name in ("num_samples", "num_tokens"):
        amount, counted = getattr(data, name), getattr(advice, name)
        if amount is not None and _apart(float(amount.number), counted) > _ROUNDING:
            found.append(_differs(f"data.{name}", amount.text, f"{counted:,} in the file", str(counted)))
    mean = advice.mean_length
    after = (
        f", cut off at {_shown(row.sequence_length)}"
        if row.truncated_tokens and layout != "concatenated"
        else ""
    )
    if data.mean_length is not None and _apart(data.mean_length, mean) > _FAR:
        found.append(
            _differs(
                "data.mean_length",
                f"{data.mean_length:g}",
                f"{mean:.1f} tokens a sample in the file{after}",
                f"{mean:.1f}",
            )
        )
    whole = row.sequence_length if isinstance(row.sequence_length, int) else sum(row.sequence_length)
    if data.mean_length is None and layout != "concatenated" and _apart(mean, whole) > _FAR:
        found.append(
            Problem(
                code="lengths-disagree",
                severity="warning",
                path="data",
                message=f"samples have {mean:.1f} tokens on average{after}; the plan counts {whole} of each, for "
                "`data.mean_length` is not written",
                hint=f"write data.mean_length: {mean:.1f}",
            )
        )
    most = advice.loss_token_fraction
    if data.loss_token_fraction is not None and data.loss_token_fraction > most + _ROUNDING:
        found.append(
            _differs(
                "data.loss_token_fraction",
                f"{data.loss_token_fraction:g}",
                f"of the slots {most:.1%} hold a token".replace("%", " %"),
                f"{most:.3f}, or less where the loss leaves tokens out",
            )
        )
    return found


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(one, other)


def _differs(path: str, written: str, instead: str, value: str) -> Problem:
    return Problem(
        code="lengths-disagree",
        severity="warning",
        path=path,
        message=f"`{path}: {written}`: {instead}",
        hint=f"write {path}: {value}",
    )


def _shown(length: int | Pair) -> str:
    return str(length) if isinstance(length, int) else f"{length[0]} and {length[1]}"
