"""One law's answer, and whether the question lies where the law was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from launcher.planning.laws.asked import Asked

__all__ = [
    "ADAM_LIKE",
    "LARGEST_STEP",
    "Answer",
    "Axis",
    "Law",
    "Standing",
    "answered",
    "lacking",
    "out_of_place",
]

LARGEST_STEP = 10.0
"""Factor beyond a fit range up to which a law's value is shown without being asked for."""

ADAM_LIKE = ("adam", "adamw", "adamw-8bit")
_LANGUAGE = ("decoder", "moe", "module")

Standing = Literal["within", "extrapolated", "not-shown", "lacks", "does-not-apply"]
"""within: inside the fit range; extrapolated: up to LARGEST_STEP beyond it, or any distance when asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One dimension of a fit: smallest and largest value among the runs behind it."""

    name: str
    """C, D, N, L, width."""
    low: float
    high: float
    what: str

    def beyond(self, value: float) -> float:
        """Factor by which a value lies outside, at least 1; 1 inside."""
        return max(1.0, self.low / value, value / self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What a law is, apart from any question."""

    name: str
    source: str
    gives: Literal["optimum", "critical batch", "anchored", "heuristic", "practice", "measured"]
    """What its numbers mean. critical batch: where more data-parallelism stops paying, not the best batch.

    anchored: how somebody's own optimum moves; practice: what one group did.
    """
    fitted: str
    """On what: models, optimizer, schedule, sequence length."""
    axes: tuple[Axis, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one law would choose; None for what it does not say."""

    law: Law
    standing: Standing
    batch_tokens: float | None = None
    batch_sequences: float | None = None
    """Of this recipe's sequence length; not rounded."""
    learning_rate: float | None = None
    learning_rate_factor: float | None = None
    """On the law's own base rate, where it gives no rate."""
    weight_decay: float | None = None
    weight_decay_factor: float | None = None
    beyond: float = 1.0
    """How far outside the fit range the question lies, along the axis where it is farthest."""
    beyond_axis: str = ""
    inputs: Mapping[str, float] = field(default_factory=dict)
    """What the law was given, by the names of its axes."""
    why: str = ""
    """What is missing, or why the law does not apply."""
    remarks: tuple[str, ...] = ()


def answered(
    law: Law,
    *,
    asked: Asked,
    inputs: Mapping[str, float],
    batch_tokens: float | None = None,
    learning_rate: float | None = None,
    learning_rate_factor: float | None = None,
    weight_decay: float | None = None,
    weight_decay_factor: float | None = None,
    remarks: tuple[str, ...] = (),
) -> Answer:
    """An answer with its distance from the fit range and the batch in this recipe's sequences."""
    far = max(((axis.beyond(inputs[axis.name]), axis.name) for axis in law.axes), default=(1.0, ""))
    length = asked.sequence_length
    return Answer(
        law=law,
        standing="within" if far[0] <= 1.0 else "extrapolated",
        batch_tokens=batch_tokens,
        batch_sequences=None if batch_tokens is None or length is None else batch_tokens / length,
        learning_rate=learning_rate,
        learning_rate_factor=learning_rate_factor,
        weight_decay=weight_decay,
        weight_decay_factor=weight_decay_factor,
        beyond=far[0],
        beyond_axis=far[1] if far[0] > 1.0 else "",
        inputs=dict(inputs),
        remarks=(*remarks, *_experts(law, asked)),
    )


def lacking(law: Law, *, what: str) -> Answer:
    """The law applies, but something it needs is not known."""
    return Answer(law=law, standing="lacks", why=what)


def out_of_place(
    law: Law, *, asked: Asked, optimizers: tuple[str, ...] = ADAM_LIKE, tuning: bool = False
) -> Answer | None:
    """The answer of a law of language models where something else is trained; None where it applies.

    optimizers: those the law was fitted with, or near enough. tuning: whether it is for training a part, too.
    """
    why = ""
    if asked.kind not in _LANGUAGE or asked.sequence_length is None:
        why = f"for decoder language models; this is {_article(asked.kind)}"
    elif not asked.pretraining and not tuning:
        why = "for training all weights; here an adapter or a part is trained"
    elif asked.optimizer not in optimizers:
        why = f"fitted with Adam or AdamW; this recipe trains with {asked.optimizer}"
    return Answer(law=law, standing="does-not-apply", why=why) if why else None


def _experts(law: Law, asked: Asked) -> tuple[str, ...]:
    if asked.kind != "moe" or not any(axis.name in {"N", "C"} for axis in law.axes):
        return ()
    return ("fitted on dense models; of a mixture the active parameters are counted",)


def _article(kind: str) -> str:
    named = {
        "encoder-decoder": "an encoder-decoder",
        "encoder": "an encoder",
        "rnn": "an RNN",
        "lstm": "an LSTM",
    }
    return named.get(kind, f"a {kind}")
