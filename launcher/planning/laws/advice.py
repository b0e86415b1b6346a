"""All laws side by side, and how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from launcher.planning.laws import (
    critical_batch,
    deepseek,
    kaplan,
    llama_factory,
    nanochat,
    power_lines,
    practice,
    step_law,
    surge,
)
from launcher.planning.laws.answer import LARGEST_STEP, Answer
from launcher.planning.laws.asked import Asked

__all__ = ["Advice", "Spread", "advise"]

_LAWS: tuple[Callable[[Asked], Answer], ...] = (
    deepseek.ask,
    step_law.ask,
    power_lines.ask,
    nanochat.ask,
    critical_batch.ask,
    kaplan.ask,
    surge.ask,
    practice.ask,
    llama_factory.ask,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Smallest and largest of what several laws say of one thing."""

    low: float
    low_law: str
    high: float
    high_law: str
    factor: float
    """Largest over smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The question, every law's answer, and the spread of those that are shown."""

    asked: Asked
    answers: tuple[Answer, ...]
    batch: Spread | None
    """Tokens per step, of the laws that claim a best batch."""
    learning_rate: Spread | None
    """Of the laws that claim a best rate, and of practice."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; null where nothing is shown."""
        from launcher.spec.plain import to_plain

        plain: dict[str, Any] = to_plain(self)
        return {"advice_version": 1, **plain}


def advise(asked: Asked, *, extrapolate: bool = False) -> Advice:
    """What each law says. A law asked more than ten times beyond its fit says nothing unless extrapolate is set."""
    answers = tuple(
        answer if extrapolate else _within_reach(answer) for answer in (ask(asked) for ask in _LAWS)
    )
    best = [answer for answer in answers if answer.law.gives in {"optimum", "anchored"}]
    return Advice(
        asked=asked,
        answers=answers,
        batch=_spread((answer.law.name, answer.batch_tokens) for answer in best),
        learning_rate=_spread(
            (answer.law.name, answer.learning_rate)
            for answer in answers
            if answer.law.gives in {"optimum", "practice"}
        ),
    )


def _within_reach(answer: Answer) -> Answer:
    if answer.beyond <= LARGEST_STEP:
        return answer
    return replace(
        answer,
        standing="not-shown",
        batch_tokens=None,
        batch_sequences=None,
        learning_rate=None,
        learning_rate_factor=None,
        weight_decay=None,
        weight_decay_factor=None,
        remarks=(),
    )


def _spread(values: Iterable[tuple[str, float | None]]) -> Spread | None:
    known = [(value, name) for name, value in values if value is not None]
    if len(known) < 2:
        return None
    (low, low_law), (high, high_law) = min(known), max(known)
    return Spread(low=low, low_law=low_law, high=high, high_law=high_law, factor=high / low)
