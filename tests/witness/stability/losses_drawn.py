"""Losses as trainings have them: curves that fall, and noise of several kinds on them, seeded."""

from __future__ import annotations

import math
import random

CURVES = {
    "flat": lambda step: 3.0,
    "power": lambda step: 2.0 + 8 * (step + 10) ** -0.3,
    "exponential": lambda step: 0.5 + 9 * math.exp(-step / 400),
    "to zero": lambda step: 8 * math.exp(-step / 2000),
}


def gaussian(rng):
    while True:
        yield rng.gauss(0, 1)


def laplace(rng):
    """Tails that fall as exp(-1.41 x)."""
    while True:
        yield rng.expovariate(math.sqrt(2)) * rng.choice((-1, 1))


def correlated(rng, share):
    """Each value keeps a share of the one before."""
    value = rng.gauss(0, 1)
    while True:
        yield value
        value = share * value + math.sqrt(1 - share * share) * rng.gauss(0, 1)


def student(rng, degrees=5):
    """Tails that fall as x ** -5: single batches that are far off."""
    while True:
        chi = sum(rng.gauss(0, 1) ** 2 for _ in range(degrees))
        yield rng.gauss(0, 1) / math.sqrt(chi / degrees) * math.sqrt((degrees - 2) / degrees)


NOISES = {
    "gaussian": gaussian,
    "laplace": laplace,
    "half correlated": lambda rng: correlated(rng, 0.5),
    "correlated": lambda rng: correlated(rng, 0.9),
    "student": student,
}


def drawn(curve, noise, *, level, steps, seed):
    """Losses of `steps` steps; level: standard deviation over the loss."""
    values = NOISES[noise](random.Random(seed))
    return [CURVES[curve](step) * (1 + level * next(values)) for step in range(1, steps + 1)]
