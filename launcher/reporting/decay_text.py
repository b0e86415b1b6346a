"""The decay of a recipe in a few words."""

from __future__ import annotations

from launcher.spec.recipe import Recipe
from launcher.units import Amount

__all__ = ["decay_in_words"]


def decay_in_words(recipe: Recipe) -> str:
    """Shape, where it begins, and its marks: `cosine from 10T tokens, x 0.33 at 14.6T tokens`."""
    schedule = recipe.schedule
    shape = schedule.decay
    if shape == "constant":
        return shape
    words = ["" if shape == "step" else _shape(recipe)]
    if schedule.decay_starts is not None and shape not in {"step", "wsd"}:
        words[0] += f" from {schedule.decay_starts}"
    if (
        schedule.decay_ends is not None and schedule.decay_at and words[0]
    ):  # else its end stands beside the final rate
        words[0] += f" until {schedule.decay_ends}"
    if schedule.decay_at:
        words.append(_marks(recipe, schedule.decay_at))
    return ", ".join(word for word in words if word)


def _shape(recipe: Recipe) -> str:
    schedule = recipe.schedule
    if schedule.decay == "polynomial":
        return f"polynomial of power {schedule.decay_power:g}"
    if schedule.decay == "inverse-sqrt":
        scale = "" if schedule.decay_length is None else f", time scale {schedule.decay_length}"
        return f"inverse square root{scale}"
    if schedule.decay == "wsd":
        return f"warmup-stable-decay, the last {schedule.decay_length} {schedule.decay_shape}"
    return schedule.decay


def _marks(recipe: Recipe, marks: tuple[Amount, ...]) -> str:
    """`x 0.1 behind 30, 60 and 80 epochs`, or one by one where factors differ."""
    factor = recipe.schedule.decay_factor
    if isinstance(factor, tuple):
        pairs = zip(factor, marks, strict=False)
        return ", ".join(f"x {each:g} behind {mark}" for each, mark in pairs)
    units = {mark.unit for mark in marks}
    texts = [str(mark) for mark in marks]
    if len(units) == 1 and all(" " in text for text in texts):
        texts = [*(text.split(" ")[0] for text in texts[:-1]), texts[-1]]
    joined = texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
    return f"x {factor:g} behind {joined}"
