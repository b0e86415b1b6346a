"""Dimensions of the small models: sets that vary independently, so that every size tells its own monomial."""

from __future__ import annotations

from launcher.measuring.ledgers.family import Sizes

__all__ = ["HELD_OUT", "SETS", "SYMBOLS", "in_eights", "of_equal_width", "of_images"]

SYMBOLS = ("t", "h", "q", "kv", "f", "V", "a", "s", "b", "d", "p")
"""Of a decoder or encoder of text."""


def _sizes(values: str) -> Sizes:
    """Here h = a * m is a multiple of the heads and yet another number than q = a * d; G key-value heads divide a."""
    b, s, r, a, groups, d, m, f, vocabulary, p, k, experts, g, grid, patch, n = map(int, values.split())
    return {
        "b": b, "s": s, "t": b * s, "r": r, "u": b * r, "a": a, "G": groups, "d": d, "h": a * m, "q": a * d,
        "kv": groups * d, "f": f, "V": vocabulary, "p": p, "k": k, "E": experts, "g": g, "grid": grid, "P": patch,
        "n": n,
    }  # fmt: skip


#         b  s  r  a  G  d  m  f   V  p  k  E   g grid P n
SETS = (
    _sizes("2  5  4  4  2  8  7 37  53 61  2  5  24  2  7  3"),
    _sizes("3  7  9  6  2 16 11 41  71 67  3  7  40  3  4 11"),
    _sizes("5  6  7  6  3  8 13 59  43 83  2  8  56  4  3  7"),
    _sizes("2  9  5 10  5 16  5 97 101 71  3 11  88  5  5  4"),
)
"""What the polynomials are made from."""

HELD_OUT = (
    _sizes("7  4 11  8  4 24  9 23 131 19  4  6 104  3  9  5"),
    _sizes("4 13  3  9  3  8  4 31  29 47  2  4 136  6  2 13"),
)
"""What they are checked on."""


def in_eights(sets: tuple[Sizes, ...]) -> tuple[Sizes, ...]:
    """The same with a hidden size that is a multiple of 8: grouped matrix products want rows of whole 16 bytes."""
    return tuple({**each, "h": 8 * each["h"] // 2} for each in sets)


def of_equal_width(sets: tuple[Sizes, ...]) -> tuple[Sizes, ...]:
    """The same with heads that are together as wide as the hidden size, in whole vectors of 8."""
    return tuple({**each, "h": each["q"]} for each in sets)


def of_images(sets: tuple[Sizes, ...]) -> tuple[Sizes, ...]:
    """The same with as many tokens as an image of grid x grid patches has, and one for its class."""
    tokens = [{**each, "s": each["grid"] ** 2 + 1} for each in sets]
    return tuple({**each, "t": each["b"] * each["s"]} for each in tokens)
