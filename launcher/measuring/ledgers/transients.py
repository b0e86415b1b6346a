"""What is alive inside a window of a pass beyond what is saved, at the moments where it could be most."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from math import prod

from launcher.measuring.ledgers.aligned import Aligned
from launcher.measuring.symbols import add

__all__ = ["Peak", "backward_peaks", "forward_peaks"]

Peak = tuple[dict[str, Fraction], dict[str, Fraction]]
"""Bytes beyond what was saved when the window began, and the parameters' gradients made inside the window."""


def backward_peaks(aligned: Aligned, begins: str, ends: str) -> list[Peak]:
    """Between two marks of the backward pass; what the pass has freed by then is subtracted."""
    saved = {each.number for each in aligned.saved()}
    return _peaks(aligned, begins, ends, baseline=lambda live: live & saved, moving=False)


def forward_peaks(aligned: Aligned, begins: str, ends: str) -> list[Peak]:
    """Between two marks of the forward pass; what will have been saved at its end does not count."""
    saved = {each.number for each in aligned.saved()}
    return _peaks(aligned, begins, ends, baseline=lambda live: live & saved, moving=True)


def _peaks(
    aligned: Aligned, begins: str, ends: str, *, baseline: Callable[[set[int]], set[int]], moving: bool
) -> list[Peak]:
    live: set[int] = set()
    at_start: set[int] = set()
    before: set[int] = set()
    inside, grew = False, False
    found: list[Peak] = []

    def look() -> None:
        base = baseline(live) if moving else at_start
        own = {number for number in live if aligned.counts(number)}
        beyond = add(
            [
                add(aligned.polys[n] for n in own - base),
                add((aligned.polys[n] for n in base - own), sign=-1),
            ]
        )
        gradients = add(aligned.polys[n] for n in live - before if aligned.seen[n].role == "gradient")
        if (beyond, gradients) not in found:
            found.append((beyond, gradients))

    for step in aligned.steps:
        if step.what == "mark" and step.mark == begins:
            inside, at_start, before, grew = True, baseline(live), set(live), True
        elif step.what == "mark" and step.mark == ends:
            look()
            break
        elif step.what == "new":
            live.add(step.number)
            grew = True
        elif step.what == "free":
            if inside and grew:
                look()
            live.discard(step.number)
            grew = False
    return _worth_keeping(found)


def _worth_keeping(peaks: Sequence[Peak]) -> list[Peak]:
    """Those that are the largest for some dimensions a network may have, alone or with the gradients."""
    terms = sorted({term for peak in peaks for poly in peak for term in poly})
    alone = [{term: float(c) for term, c in beyond.items()} for beyond, _ in peaks]
    together = [{term: float(c) for term, c in add(peak).items()} for peak in peaks]
    kept: set[int] = set()
    for sizes in _likely_sizes(
        tuple(sorted({name for term in terms if term != "1" for name in term.split("*")}))
    ):
        values = {term: 1 if term == "1" else prod(sizes[name] for name in term.split("*")) for term in terms}
        for polys in (alone, together):
            worth = [sum(c * values[term] for term, c in poly.items()) for poly in polys]
            kept.add(worth.index(max(worth)))
    return [peaks[index] for index in sorted(kept)]


@cache
def _likely_sizes(names: tuple[str, ...]) -> list[dict[str, int]]:
    draw = random.Random(0)  # noqa: S311
    return [_one(draw, names) for _ in range(300)]


def _one(draw: random.Random, names: Sequence[str]) -> dict[str, int]:
    d = draw.choice((32, 64, 128, 256))
    a = draw.choice((4, 8, 12, 16, 32, 64))
    b, s = draw.choice((1, 2, 4, 8, 32)), draw.choice((64, 256, 512, 1024, 4096, 16384))
    r = draw.choice((s, s, max(1, s // 4)))
    h = draw.choice((a * d, a * d, 1024, 4096))
    experts = draw.choice((4, 8, 64))
    sizes = {
        "b": b, "s": s, "t": b * s, "r": r, "u": b * r, "d": d, "a": a, "q": a * d, "h": h,
        "kv": d * draw.choice((a, max(1, a // 4))), "f": draw.choice((2, 3, 4, 8)) * h,
        "V": draw.choice((1000, 32000, 50257, 256000)), "p": draw.choice((512, 1024, 4096)),
        "E": experts, "k": draw.choice((1, 2, 4)), "g": draw.choice((h // 4, h, 4 * h)),
    }  # fmt: skip
    return {name: sizes.get(name, 16) for name in names}
