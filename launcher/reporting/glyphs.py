"""Characters and colour that the reader's terminal can show; nothing depends on either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["ASCII", "UNICODE", "Glyphs", "glyphs_for"]

Colour = Literal["green", "yellow", "red", "dim"]
_CODES = {"green": "1;32", "yellow": "1;33", "red": "1;31", "dim": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """What a text is drawn with."""

    bars: str
    """Eight levels, low to high."""
    dot: str
    """Between things of one line."""
    shades: str
    """Neighbouring parts of a bar."""
    empty: str
    """The rest of a bar."""
    colour: bool = False

    def paint(self, text: str, colour: Colour) -> str:
        """The text in colour where that is wanted, else as it is."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour else text


UNICODE = Glyphs(
    bars="\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588",
    dot=" \u00b7 ",
    shades="\u2588\u2592\u2593\u2591",
    empty="\u00b7",
)
ASCII = Glyphs(bars="_.:-=+*#", dot=", ", shades="#=+-", empty=".")


def glyphs_for(encoding: str | None, *, colour: bool = False) -> Glyphs:
    """For a stream of that encoding."""
    base = UNICODE if (encoding or "").lower().replace("-", "") == "utf8" else ASCII
    return replace(base, colour=colour)
