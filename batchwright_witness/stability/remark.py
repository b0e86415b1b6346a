"""What is said about a training that goes on as it was: a remark changes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Remark", "number"]


class Remark(NamedTuple):
    """Something has moved at an optimizer step."""

    step: int
    code: str
    words: str

    def line(self) -> str:
        """As a person reads it: `remark  step 310: ... [loss-spike]`."""
        return f"remark  step {self.step:,}: {self.words} [{self.code}]"

    def entry(self) -> dict[str, Any]:
        """As remarks.jsonl keeps it."""
        return {"step": self.step, "code": self.code, "words": self.words}


def number(value: float) -> str:
    """A measured number with four digits."""
    return f"{value:.4g}"
